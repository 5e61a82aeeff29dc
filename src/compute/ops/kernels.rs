//! Kernels in variants: a source behind a prelude of constants, made once for every variant and kept.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use crate::compute::Kernel;

/// What tells the variants of a family apart.
pub(super) type Variant = [u32; 5];

/// The variants made so far of one kernel.
pub(super) struct Family {
    name: &'static str,
    writes: &'static [bool],
    made: Mutex<Vec<(Variant, Arc<Kernel>)>>,
}

impl Family {
    pub const fn new(name: &'static str, writes: &'static [bool]) -> Self {
        Self {
            name,
            writes,
            made: Mutex::new(Vec::new()),
        }
    }

    /// The kernel of a variant; `source` gives its text when it is asked for the first time.
    pub fn kernel(&self, variant: Variant, source: impl FnOnce() -> String) -> Arc<Kernel> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, kernel)) = made.iter().find(|(other, _)| *other == variant) {
            return Arc::clone(kernel);
        }
        // There are few variants and they are kept for good: so pipelines are found by the address of their source.
        let source: &'static str = source().leak();
        let kernel = Arc::new(Kernel {
            name: self.name,
            source: Cow::Borrowed(source),
            writes: self.writes,
        });
        made.push((variant, Arc::clone(&kernel)));
        kernel
    }
}

/// `V`, vectors of `width` f32, and what there is to do with one.
pub(super) fn floats(width: usize) -> &'static str {
    match width {
        4 => {
            "alias V = vec4<f32>;\nconst W = 4u;\n\
             fn total(v: V) -> f32 { return (v.x + v.y) + (v.z + v.w); }\n\
             fn highest(v: V) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }\n\
             fn part(v: V, i: u32) -> f32 { return v[i]; }\n"
        }
        _ => {
            "alias V = f32;\nconst W = 1u;\n\
             fn total(v: V) -> f32 { return v; }\n\
             fn highest(v: V) -> f32 { return v; }\n\
             fn part(v: V, i: u32) -> f32 { return v; }\n"
        }
    }
}

/// `U`, vectors of `width` words of any type.
pub(super) fn words(width: usize) -> &'static str {
    match width {
        4 => "alias U = vec4<u32>;\nconst W = 4u;\n",
        _ => "alias U = u32;\nconst W = 1u;\n",
    }
}

/// Repeats every line `each i 4, j N: text` for i in 0..4 and j in 0..N, with `$i` and `$j` in its text replaced by
/// numbers, so that what one invocation holds lies in variables of their own. `sizes` gives the named counts.
pub(super) fn unrolled(source: &str, sizes: &[(&str, usize)]) -> String {
    let mut out = String::with_capacity(source.len() * 2);
    for line in source.lines() {
        match line
            .trim_start()
            .strip_prefix("each ")
            .and_then(|rest| rest.split_once(": "))
        {
            Some((loops, text)) => {
                let mut lines = vec![text.to_owned()];
                for one in loops.split(", ") {
                    let (name, count) = one.split_once(' ').unwrap_or((one, "0"));
                    let named = sizes.iter().find(|(size, _)| *size == count);
                    let count = named.map_or_else(|| count.parse().unwrap_or(0), |(_, n)| *n);
                    lines = repeated(&lines, name, count);
                }
                lines.iter().for_each(|line| {
                    out.push_str(line);
                    out.push('\n');
                });
            }
            None => {
                out.push_str(line);
                out.push('\n');
            }
        }
    }
    out
}

fn repeated(lines: &[String], name: &str, count: usize) -> Vec<String> {
    let mark = format!("${name}");
    let numbered = |line: &String| {
        let line = line.clone();
        let mark = mark.clone();
        (0..count).map(move |i| line.replace(&mark, &i.to_string()))
    };
    lines.iter().flat_map(numbered).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_repeated() {
        let source = "a\n  each i 2, v NV: x$i_$v = $iu;\nb";
        let expected = "a\nx0_0 = 0u;\nx0_1 = 0u;\nx1_0 = 1u;\nx1_1 = 1u;\nb\n";
        assert_eq!(unrolled(source, &[("NV", 2)]), expected);
    }
}
