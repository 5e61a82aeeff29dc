//! The numbers as a table for people and as JSON for programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::engine::measure::{Ceilings, Sizes};

/// One thing measured several times, in milliseconds.
#[derive(Clone, Debug)]
pub(super) struct Row {
    name: String,
    /// Ascending.
    times: Vec<f64>,
}

impl Row {
    pub fn of(name: &str, times: Vec<f64>) -> Self {
        let mut times = times;
        times.sort_by(f64::total_cmp);
        Self {
            name: name.to_owned(),
            times,
        }
    }

    /// The value below which a share of the times lies (nearest rank).
    fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.times.len() as f64).ceil() as usize;
        let last = self.times.len().saturating_sub(1);
        let at = rank.saturating_sub(1).min(last);
        self.times.get(at).copied().unwrap_or(f64::NAN)
    }
}

#[derive(Debug)]
pub(super) struct Report {
    pub device: String,
    model: String,
    pub n_prompt: usize,
    pub sizes: Sizes,
    rows: Vec<Row>,
    pub memory: Option<u64>,
    pub ceilings: Option<Ceilings>,
}

impl Report {
    pub fn new(model: &str) -> Self {
        Self {
            device: String::new(),
            model: model.to_owned(),
            n_prompt: 0,
            sizes: Sizes::default(),
            rows: Vec::new(),
            memory: None,
            ceilings: None,
        }
    }

    pub fn push(&mut self, row: Row) {
        if !row.times.is_empty() {
            // The table comes at the end; whoever waits sees what is measured.
            eprintln!("{} {:.1} ms", row.name, row.quantile(0.5));
            self.rows.push(row);
        }
    }

    fn median(&self, name: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.name == name)?;
        Some(row.quantile(0.5))
    }

    pub fn text(&self) -> String {
        let mut out = format!(
            "{} on {}, {} tokens in the prompt\n{:<28}{:>12}{:>12}{:>6}\n",
            self.model, self.device, self.n_prompt, "ms", "median", "p95", "n"
        );
        for row in &self.rows {
            let (median, p95) = (row.quantile(0.5), row.quantile(0.95));
            let _ = writeln!(
                out,
                "{:<28}{median:>12.2}{p95:>12.2}{:>6}",
                row.name,
                row.times.len()
            );
        }
        for line in self.shares() {
            let _ = writeln!(out, "{line}");
        }
        out.trim_end().to_owned()
    }

    /// What the times are of what the device can do.
    fn shares(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(memory) = self.memory {
            lines.push(format!("memory in use: {:.2} GB", memory as f64 / 1e9));
        }
        let Some(ceilings) = self.ceilings else {
            return lines;
        };
        lines.push(format!(
            "ceilings measured: product {:.1} TFLOP/s, copy {:.0} GB/s",
            ceilings.teraflops, ceilings.gigabytes
        ));
        let of_product = [
            ("full_run", self.sizes.forward_flops(self.n_prompt)),
            ("full_lens", self.sizes.lens_flops()),
        ];
        for (name, flops) in of_product {
            if let Some(ms) = self.median(name) {
                let rate = flops / ms / 1e9;
                let share = 100.0 * rate / ceilings.teraflops;
                lines.push(format!(
                    "{name}: {rate:.2} TFLOP/s, {share:.0} % of the product ceiling"
                ));
            }
        }
        if let Some(ms) = self.median("decode_token") {
            let rate = self.sizes.decoder_bytes() / ms / 1e6;
            let share = 100.0 * rate / ceilings.gigabytes;
            lines.push(format!(
                "decode_token: {rate:.0} GB/s of weights, {share:.0} % of the copy ceiling"
            ));
        }
        lines
    }

    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "name": row.name,
                "median_ms": row.quantile(0.5),
                "p95_ms": row.quantile(0.95),
                "n": row.times.len(),
            })
        };
        json!({
            "device": self.device,
            "model": self.model,
            "n_prompt": self.n_prompt,
            "memory_bytes": self.memory,
            "matmul_tflops": self.ceilings.map(|c| c.teraflops),
            "copy_gb_per_s": self.ceilings.map(|c| c.gigabytes),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_nearest_ranks() {
        let row = Row::of("x", vec![5.0, 1.0, 4.0, 2.0, 3.0]);
        assert_eq!((row.quantile(0.5), row.quantile(0.95)), (3.0, 5.0));
        let row = Row::of("x", (1..=100).map(f64::from).collect());
        assert_eq!((row.quantile(0.5), row.quantile(0.95)), (50.0, 95.0));
    }
}
