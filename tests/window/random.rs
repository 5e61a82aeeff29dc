//! A thousand random commands through the window: nothing panics, undo leads back to the beginning, and what is saved
//! opens again as it was. A new command does not compile here until it has an example.

use std::path::Path;

use patchglass::index::{Patch, PatchGrid, PatchSet, choose};
use patchglass::session::{
    Command as C, GestureId, HeatKind, InsideView, NamedSelection, ReadingView, Session,
    SweepSettings, Tool, ViewState, file,
};
use patchglass::spec::{
    Ablation, AttentionSpec, AttributionSpec, ControlSpec, Crop, Experiment, Intervention,
    ModelSource, PictureSource, Readout, Replacement,
};

use super::support::{App, app, settle};

/// SplitMix64: small, and the same everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 1
    }

    fn patch(&mut self) -> Patch {
        Patch::new(self.below(26) as u16, self.below(26) as u16)
    }

    fn patches(&mut self) -> PatchSet {
        let n = self.below(30);
        choose::random(n, self.below(1000) as u64, PatchGrid::new(24, 24))
    }

    fn gesture(&mut self) -> GestureId {
        GestureId(self.below(4) as u64)
    }

    fn text(&mut self) -> String {
        let texts = [
            "",
            "What is it?",
            "Wo? «ß» ␣",
            "  ",
            "a\nb",
            "\"quoted\" \\ {}",
        ];
        texts[self.below(texts.len())].to_owned()
    }

    fn row(&mut self) -> Intervention {
        match self.below(4) {
            0 => serde_json::from_str(r#"{"type":"attention_knockout","queries":"last","keys":"patches:r3c4-r6c9","layers":"5..=7"}"#).unwrap(),
            1 => Intervention::Ablation(Ablation {
                with: Replacement::Noise(self.below(9) as u64),
                layer: self.below(9),
                ..Ablation::of(self.patches())
            }),
            2 => Intervention::Ablation(Ablation {
                with: Replacement::Image(Path::new("/pictures/other.png").to_owned()),
                enabled: self.coin(),
                ..Ablation::of(self.patches())
            }),
            _ => Intervention::Ablation(Ablation::of(self.patches())),
        }
    }
}

/// The number of a command's kind. A new kind needs a new number here and an example in [`example`].
fn kind(command: &C) -> usize {
    match command {
        C::SetModel(_) => 0,
        C::SetPicture(_) => 1,
        C::SetCrop(_) => 2,
        C::SetPrompt(_) => 3,
        C::SetTemplate(_) => 4,
        C::SetAnswerPrefix(_) => 5,
        C::SetMaxNewTokens(_) => 6,
        C::Paint { .. } => 7,
        C::AddIntervention(_) => 8,
        C::SetIntervention { .. } => 9,
        C::SetEnabled { .. } => 10,
        C::RemoveIntervention(_) => 11,
        C::ClearInterventions => 12,
        C::Undo => 13,
        C::Redo => 14,
        C::Rerun => 15,
        C::SetWord(_) => 16,
        C::SetSimilar(_) => 17,
        C::ReadAttention(_) => 18,
        C::ReadAttribution(_) => 19,
        C::SetLevel(_) => 20,
        C::SetTool(_) => 21,
        C::SetHeat(_) => 22,
        C::SetOpacity(_) => 23,
        C::ShowGrid(_) => 24,
        C::ShowWords(_) => 25,
        C::ShowClean(_) => 26,
        C::SelectPatch { .. } => 27,
        C::SetSelection(_) => 28,
        C::SelectPatches { .. } => 29,
        C::DragSelection { .. } => 30,
        C::KeepSelection(_) => 31,
        C::RestoreSelection(_) => 32,
        C::RenameSelection { .. } => 33,
        C::DeleteSelection(_) => 34,
        C::UndoSelection => 35,
        C::RedoSelection => 36,
        C::SetActiveRow(_) => 37,
        C::SetSweep(_) => 38,
        C::SetReading(_) => 39,
        C::SetInside(_) => 40,
        C::SetGrid(_) => 41,
        C::SoloIntervention(_) => 42,
        C::DuplicateIntervention(_) => 43,
        C::RenameIntervention { .. } => 44,
        C::MoveIntervention { .. } => 45,
        C::SetControl(_) => 46,
        C::KeepRun { .. } => 47,
        C::RenameRun { .. } => 48,
        C::DeleteRun(_) => 49,
        C::BringBackRun => 50,
        C::ShowRun(_) => 51,
        C::SetWordToken(_) => 52,
        C::MeasureDivergence(_) => 53,
        C::Compare(_) => 54,
        C::TakeSelections(_) => 55,
        C::Restore(_) => 56,
    }
}

const N_KINDS: usize = 57;
/// The first kinds edit the experiment.
const N_EDITS: usize = 13;

/// A command of the kind with this number.
fn example(kind: usize, r: &mut Chance) -> C {
    let at = r.below(5);
    match kind {
        0 => C::SetModel(match r.coin() {
            true => ModelSource::Demo,
            false => ModelSource::Folder("/models/llava".into()),
        }),
        1 => C::SetPicture(match r.coin() {
            true => PictureSource::Demo,
            false => PictureSource::File("/pictures/a.png".into()),
        }),
        2 => C::SetCrop(match r.coin() {
            true => Crop::default(),
            false => Crop::Pad,
        }),
        3 => C::SetPrompt(r.text()),
        4 => C::SetTemplate(r.coin().then(|| r.text())),
        5 => C::SetAnswerPrefix(r.text()),
        6 => C::SetMaxNewTokens(r.below(40)),
        7 => C::Paint {
            patch: r.patch(),
            on: r.coin(),
            gesture: r.gesture(),
        },
        8 => C::AddIntervention(r.row()),
        9 => {
            let to = r.row();
            let gesture = r.coin().then(|| r.gesture());
            C::SetIntervention {
                row: at,
                to,
                gesture,
            }
        }
        10 => C::SetEnabled {
            row: at,
            on: r.coin(),
        },
        11 => C::RemoveIntervention(at),
        12 => C::ClearInterventions,
        13 => C::Undo,
        14 => C::Redo,
        15 => C::Rerun,
        16 => C::SetWord(r.text()),
        17 => C::SetSimilar(r.coin().then(|| r.patch())),
        18 => C::ReadAttention(r.coin().then(AttentionSpec::default)),
        19 => C::ReadAttribution(r.coin().then(AttributionSpec::default)),
        20 => C::SetLevel(r.below(12)),
        21 => C::SetTool([Tool::Ablate, Tool::Select, Tool::Lasso][r.below(3)]),
        22 => C::SetHeat(HeatKind::ALL[r.below(HeatKind::ALL.len())]),
        23 => C::SetOpacity(r.below(15) as f32 / 10.0 - 0.2),
        24 => C::ShowGrid(r.coin()),
        25 => C::ShowWords(r.coin()),
        26 => C::ShowClean(r.coin()),
        27 => C::SelectPatch {
            patch: r.patch(),
            on: r.coin(),
        },
        28 => C::SetSelection(r.patches()),
        29 => C::SelectPatches {
            patches: r.patches(),
            on: r.coin(),
            gesture: r.gesture(),
        },
        30 => {
            let gesture = r.coin().then(|| r.gesture());
            C::DragSelection {
                to: r.patches(),
                gesture,
            }
        }
        31 => C::KeepSelection(r.text()),
        32 => C::RestoreSelection(at),
        33 => C::RenameSelection { at, name: r.text() },
        34 => C::DeleteSelection(at),
        35 => C::UndoSelection,
        36 => C::RedoSelection,
        37 => C::SetActiveRow(r.coin().then_some(at)),
        38 => C::SetSweep(SweepSettings {
            token: at,
            ..SweepSettings::default()
        }),
        39 => C::SetReading(ReadingView {
            normalised: r.coin(),
            shared_from: 0.3,
            ..ReadingView::default()
        }),
        40 => C::SetInside(InsideView {
            into_selection: r.coin(),
            without_sinks: r.coin(),
            ..InsideView::default()
        }),
        42 => C::SoloIntervention(at),
        43 => C::DuplicateIntervention(at),
        44 => C::RenameIntervention {
            row: at,
            name: r.text(),
        },
        45 => C::MoveIntervention {
            row: at,
            to: r.below(5),
        },
        46 => C::SetControl(r.coin().then(ControlSpec::default)),
        47 => C::KeepRun {
            name: r.text(),
            made: r.below(1000) as u64,
        },
        48 => C::RenameRun { at, name: r.text() },
        49 => C::DeleteRun(at),
        50 => C::BringBackRun,
        51 => C::ShowRun(at),
        52 => C::SetWordToken(at),
        53 => C::MeasureDivergence(r.coin()),
        54 => C::Compare(r.coin()),
        55 => C::TakeSelections(vec![NamedSelection {
            name: r.text(),
            patches: r.patches(),
        }]),
        56 => {
            let experiment = Experiment {
                prompt: r.text(),
                ..Session::demo().experiment
            };
            C::Restore(Box::new((
                experiment,
                Readout::default(),
                ViewState::default(),
            )))
        }
        _ => C::SetGrid(PatchGrid::new(24, 24)),
    }
}

/// The session's file opens again as the same session.
fn opens_again(session: &Session) {
    let folder = Path::new("/sessions");
    let text = file::to_text(session, folder).unwrap();
    let mut again = file::parse(&text, &folder.join("s.json")).unwrap();
    let demo = PictureSource::File(folder.join(file::DEMO_PICTURE_NAME));
    if again.experiment.picture == demo {
        again.experiment.picture = PictureSource::Demo;
    }
    assert_eq!(again.experiment, session.experiment);
    assert_eq!(again.readout, session.readout);
    assert_eq!(again.view, session.view);
}

fn send(harness: &mut App, command: C) {
    harness.state().send(command);
    harness.step();
}

#[test]
fn a_thousand_random_commands() {
    let (mut harness, _) = app();
    let mut chance = Chance(20_260_103);
    let mut seen = [0_usize; N_KINDS];
    for round in 0..10 {
        let beginning = harness.state().session().experiment.clone();
        for n in 0..100 {
            // Every second command edits the experiment, so that there is much to undo.
            let wanted = match chance.coin() {
                true => chance.below(N_EDITS),
                false => chance.below(N_KINDS),
            };
            let command = example(wanted, &mut chance);
            assert_eq!(kind(&command), wanted, "{command:?}");
            seen[wanted] += 1;
            send(&mut harness, command);
            if n % 10 == 9 {
                opens_again(harness.state().session());
            }
        }
        let mut steps = 0;
        while harness.state().session().history.can_undo() {
            send(&mut harness, C::Undo);
            steps += 1;
        }
        assert_eq!(
            harness.state().session().experiment,
            beginning,
            "round {round}"
        );
        assert!(steps > 10, "{steps} steps are too few to show anything");
    }
    settle(&mut harness);
    assert!(seen.iter().all(|n| *n > 2), "{seen:?}");
}
