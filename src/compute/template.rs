//! Shaders out of parts: a WGSL text with `//for NAME in LIST`, `//if NAME` and `//end` lines and `$NAME` in it becomes plain
//! WGSL. It knows nothing of what the texts say.
//!
//! LIST is a number, the name of a number, or letters that are taken one by one. In a loop `$NAME` is the value and `$#NAME`
//! its index.

/// `text` with its loops written out, its conditions decided by `flags`, and the names of `numbers` replaced.
pub(super) fn expand(text: &str, numbers: &[(&str, u32)], flags: &[&str]) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::with_capacity(text.len() * 2);
    block(&lines, numbers, flags, &mut out);
    let mut numbers: Vec<_> = numbers.to_vec();
    numbers.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, number) in numbers {
        out = out.replace(&format!("${name}"), &number.to_string());
    }
    out
}

fn block(lines: &[&str], numbers: &[(&str, u32)], flags: &[&str], out: &mut String) {
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at].trim_start();
        let is_head = line.starts_with("//for ") || line.starts_with("//if ");
        if !is_head {
            out.push_str(lines[at]);
            out.push('\n');
            at += 1;
            continue;
        }
        let length = length(&lines[at + 1..]);
        let inside = &lines[at + 1..at + 1 + length];
        at += length + 2;
        if let Some(flag) = line.strip_prefix("//if ") {
            if flags.contains(&flag.trim()) {
                block(inside, numbers, flags, out);
            }
        } else if let Some((name, list)) = line["//for ".len()..].split_once(" in ") {
            repeat(
                inside,
                name,
                &values(list.trim(), numbers),
                (numbers, flags),
                out,
            );
        }
    }
}

fn repeat(
    inside: &[&str],
    name: &str,
    values: &[String],
    (numbers, flags): (&[(&str, u32)], &[&str]),
    out: &mut String,
) {
    let mut once = String::new();
    block(inside, numbers, flags, &mut once);
    for (index, value) in values.iter().enumerate() {
        let indexed = once.replace(&format!("$#{name}"), &index.to_string());
        out.push_str(&indexed.replace(&format!("${name}"), value));
    }
}

fn values(list: &str, numbers: &[(&str, u32)]) -> Vec<String> {
    let named = numbers
        .iter()
        .find(|(name, _)| *name == list)
        .map(|(_, number)| *number);
    match named.or_else(|| list.parse().ok()) {
        Some(number) => (0..number).map(|i| i.to_string()).collect(),
        None => list.chars().map(|letter| letter.to_string()).collect(),
    }
}

/// The number of lines before the `//end` that belongs to the head before them.
fn length(lines: &[&str]) -> usize {
    let mut depth = 1;
    for (i, line) in lines.iter().map(|line| line.trim_start()).enumerate() {
        if line.starts_with("//for ") || line.starts_with("//if ") {
            depth += 1;
        } else if line.starts_with("//end") {
            depth -= 1;
            if depth == 0 {
                return i;
            }
        }
    }
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn loops_conditions_and_names() {
        let text = "a $BM\n//for i in N\n//for c in xy\nv$i.$c = $#cu;\n//end\n//end\n//if NO\nb\n//end\n//if YES\nc\n//end\n";
        let out = expand(text, &[("BM", 64), ("N", 2), ("B", 1)], &["YES"]);
        assert_eq!(
            out,
            "a 64\nv0.x = 0u;\nv0.y = 1u;\nv1.x = 0u;\nv1.y = 1u;\nc\n"
        );
    }
}
