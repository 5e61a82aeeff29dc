//! What is measured: each row is one thing that a person does, carried out by the engine.

use super::clock::Clock;
use super::report::{Report, Row};
use super::session;
use crate::engine::Engine;
use crate::engine::protocol::{RunId, RunSpec};
use crate::engine::trace::Trace;
use crate::error::Result;
use crate::index::{LayerRange, PatchSet, TokenSet};
use crate::session::Session;
use crate::spec::{
    Ablation, AttentionKnockout, Intervention, ModelSource, Replacement, SweepOver, SweepSpec,
};

/// Tokens that the decoding row makes.
const N_DECODED: usize = 17;
/// Sweeps that took so long together are enough.
const ENOUGH_MS: f64 = 15e3;

pub(super) struct Bench<'a> {
    engine: &'a mut Engine,
    source: ModelSource,
    repeats: usize,
    n_runs: u64,
}

impl<'a> Bench<'a> {
    pub fn new(engine: &'a mut Engine, source: ModelSource, repeats: usize) -> Self {
        Self {
            engine,
            source,
            repeats,
            n_runs: 0,
        }
    }

    /// Everything but the sweep.
    pub fn measure(&mut self, report: &mut Report) -> Result<()> {
        let first = self.run(&session(&self.source, 0))?.1;
        report.n_prompt = first.layout.n_prompt;
        report.sizes = self.engine.sizes()?;
        let n_patches = first.layout.grid.len();
        let mut encode = Vec::new();
        for _ in 0..self.repeats + 2 {
            encode.push(self.engine.time_encode()?);
        }
        report.push(Row::of("encode", encode.split_off(2)));
        self.whole(report)?;
        self.click(report, "click_first", &[0])?;
        self.click(report, "click_middle", &[n_patches / 2 + 12])?;
        self.click(report, "click_last_row", &[n_patches - 12])?;
        let painted: Vec<usize> = (0..30)
            .map(|i| n_patches / 3 + 24 * (i / 6) + i % 6)
            .collect();
        self.click(report, "paint_30", &painted)?;
        self.knockout(report)?;
        self.new_question(report)?;
        self.decode(report)?;
        report.memory = self.engine.memory_used();
        Ok(())
    }

    /// One request; its milliseconds until the first words on screen and in all.
    fn run(&mut self, session: &Session) -> Result<((f64, f64), std::sync::Arc<Trace>)> {
        self.n_runs += 1;
        let spec: RunSpec = session.run_spec(RunId(self.n_runs));
        let mut clock = Clock::start();
        let trace = self.engine.run(&spec, &mut clock)?;
        let total = clock.ms();
        Ok(((clock.first_words.unwrap_or(total), total), trace))
    }

    /// Measures both variants in turn. The caller has run each once, which does not count.
    fn repeat(&mut self, mut one: impl FnMut(&mut Self, usize) -> Result<()>) -> Result<()> {
        (0..self.repeats).try_for_each(|i| one(self, i))
    }

    /// The forward pass over the whole prompt, and all words of all levels.
    fn whole(&mut self, report: &mut Report) -> Result<()> {
        let (mut runs, mut lenses, mut both) = (Vec::new(), Vec::new(), Vec::new());
        self.engine.set_whole_runs(true);
        for variant in 0..2 {
            self.run(&session(&self.source, variant))?;
        }
        self.repeat(|bench, i| {
            let ((_, total), trace) = bench.run(&session(&bench.source, i))?;
            runs.push(trace.timing.baseline);
            lenses.push(trace.timing.lens);
            both.push(total);
            Ok(())
        })?;
        self.engine.set_whole_runs(false);
        report.push(Row::of("full_run", runs));
        report.push(Row::of("full_lens", lenses));
        report.push(Row::of("full_run_and_lens", both));
        Ok(())
    }

    /// From an edit to the words of the level on screen, and to all words of all levels and the new distribution.
    fn edit(
        &mut self,
        report: &mut Report,
        name: &str,
        rows: [Intervention; 2],
        with_words: bool,
    ) -> Result<()> {
        let mut sessions = [0, 1].map(|_| session(&self.source, 0));
        for (session, row) in sessions.iter_mut().zip(rows) {
            session.experiment.interventions.push(row);
            self.run(session)?;
        }
        let (mut words, mut all) = (Vec::new(), Vec::new());
        self.repeat(|bench, i| {
            let (first, total) = bench.run(&sessions[i % 2])?.0;
            words.push(first);
            all.push(total);
            Ok(())
        })?;
        report.push(Row::of(name, all));
        if with_words {
            report.push(Row::of(&format!("{name}_first_words"), words));
        }
        Ok(())
    }

    fn click(&mut self, report: &mut Report, name: &str, patches: &[usize]) -> Result<()> {
        let grid = self.engine.grid()?;
        let patches: PatchSet = patches.iter().map(|patch| grid.patch(*patch)).collect();
        let rows = [Replacement::Mean, Replacement::Zero].map(|with| {
            Intervention::Ablation(Ablation {
                with,
                ..Ablation::of(patches.clone())
            })
        });
        self.edit(report, name, rows, true)
    }

    /// The last token loses sight of the picture: in the blocks from a third of the depth on, and in all blocks.
    fn knockout(&mut self, report: &mut Report) -> Result<()> {
        let n_layers = self.engine.sizes()?.n_layers;
        let rows = |first: usize| {
            [n_layers - 1, n_layers - 2].map(|last| {
                Intervention::AttentionKnockout(AttentionKnockout {
                    queries: TokenSet::Last,
                    keys: TokenSet::Image,
                    layers: LayerRange::Blocks { first, last },
                    heads: Default::default(),
                    enabled: true,
                    name: None,
                })
            })
        };
        self.edit(report, "knockout_last", rows(n_layers / 3), false)?;
        self.edit(report, "knockout_last_all_blocks", rows(0), false)
    }

    fn new_question(&mut self, report: &mut Report) -> Result<()> {
        let mut all = Vec::new();
        for variant in 0..2 {
            self.run(&session(&self.source, variant))?;
        }
        self.repeat(|bench, i| {
            all.push(bench.run(&session(&bench.source, i))?.0.1);
            Ok(())
        })?;
        report.push(Row::of("new_question", all));
        Ok(())
    }

    fn decode(&mut self, report: &mut Report) -> Result<()> {
        let mut all = Vec::new();
        for i in 0..self.repeats.min(4) + 1 {
            let mut session = session(&self.source, i);
            session.experiment.decode.max_new_tokens = N_DECODED;
            let trace = self.run(&session)?.1;
            // The first token comes from the prompt's own pass.
            let n_passes = trace.baseline.answer.ids.len().saturating_sub(1);
            if i > 0 && n_passes > 0 {
                all.push(trace.timing.decode / n_passes as f64);
            }
        }
        report.push(Row::of("decode_token", all));
        Ok(())
    }

    /// The importance of every patch for the first token of the answer. A slow device does it once.
    pub fn sweep(&mut self, report: &mut Report) -> Result<()> {
        let mut session = session(&self.source, 0);
        session.experiment.decode.max_new_tokens = 1;
        self.run(&session)?;
        let mut all = Vec::new();
        for with in [Replacement::Mean, Replacement::Zero, Replacement::Mean] {
            if all.iter().sum::<f64>() > ENOUGH_MS || all.len() == self.repeats {
                break;
            }
            let spec = SweepSpec {
                token: 0,
                over: SweepOver::Patches {
                    with,
                    layer: 0,
                    block: 1,
                },
            };
            self.n_runs += 1;
            let request = session.run_spec(RunId(self.n_runs));
            let mut clock = Clock::start();
            self.engine.sweep(&request, &spec, &mut clock)?;
            all.push(clock.ms());
        }
        report.push(Row::of("sweep", all));
        Ok(())
    }
}
