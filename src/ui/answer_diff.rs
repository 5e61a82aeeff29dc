//! Which tokens of an answer stayed, went and came: a longest common subsequence of the ids. Pure.

/// One piece of the changed answer, in reading order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The same token in both, at these places.
    Same { before: usize, after: usize },
    /// Only in the answer before.
    Removed { before: usize },
    /// Only in the answer after.
    Added { after: usize },
}

/// The pieces of both answers merged; what was removed stands ahead of what took its place.
pub fn diff(before: &[u32], after: &[u32]) -> Vec<Piece> {
    let lengths = common_lengths(before, after);
    let (mut i, mut j) = (0, 0);
    let mut pieces = Vec::new();
    while i < before.len() || j < after.len() {
        if i < before.len() && j < after.len() && before[i] == after[j] {
            pieces.push(Piece::Same {
                before: i,
                after: j,
            });
            (i, j) = (i + 1, j + 1);
        } else if j == after.len() || (i < before.len() && lengths[i + 1][j] >= lengths[i][j + 1]) {
            pieces.push(Piece::Removed { before: i });
            i += 1;
        } else {
            pieces.push(Piece::Added { after: j });
            j += 1;
        }
    }
    pieces
}

/// `[i][j]`: length of the longest common subsequence of `before[i..]` and `after[j..]`.
fn common_lengths(before: &[u32], after: &[u32]) -> Vec<Vec<usize>> {
    let mut lengths = vec![vec![0; after.len() + 1]; before.len() + 1];
    for i in (0..before.len()).rev() {
        for j in (0..after.len()).rev() {
            lengths[i][j] = match before[i] == after[j] {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(before: &[u32], after: &[u32]) -> String {
        let show = |piece: &Piece| match *piece {
            Piece::Same { after: j, .. } => format!("{}", after[j]),
            Piece::Removed { before: i } => format!("-{}", before[i]),
            Piece::Added { after: j } => format!("+{}", after[j]),
        };
        diff(before, after)
            .iter()
            .map(show)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn marks_what_changed() {
        assert_eq!(text(&[1, 2, 3], &[1, 2, 3]), "1 2 3");
        assert_eq!(text(&[1, 2, 3], &[1, 9, 3]), "1 -2 +9 3");
        assert_eq!(text(&[1, 2, 3], &[1, 3]), "1 -2 3");
        assert_eq!(text(&[1, 3], &[1, 2, 3]), "1 +2 3");
        assert_eq!(text(&[1, 2], &[]), "-1 -2");
        assert_eq!(text(&[], &[1, 2]), "+1 +2");
        assert_eq!(text(&[], &[]), "");
    }

    #[test]
    fn keeps_as_much_as_can_be_kept() {
        let (a, b) = ([1, 2, 3, 4, 5, 6], [2, 9, 4, 5, 1, 6]);
        let same = diff(&a, &b)
            .iter()
            .filter(|p| matches!(p, Piece::Same { .. }))
            .count();
        assert_eq!(same, 4);
    }
}
