//! Which names were probably meant: suggestions for a name that the catalogue does not know.

/// Suggestions given at most: more would be a list to search instead of an answer.
const MOST: usize = 3;

/// Characters that are compared at most; names of the API have at most 63.
const LONGEST: usize = 64;

/// The names nearest to `wanted`, the nearest first, at most three and perhaps none.
///
/// A name counts as near when it holds `wanted` as a part (`h200` in `nvidia-h200`), or when few edits lead to it: at
/// most a third of its own letters. Case, an organisation before a `/`, and `_` for `-` make no difference.
pub(super) fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = plain(wanted);
    let mut found: Vec<_> = names.filter_map(|name| Some((distance(&wanted, name)?, name))).collect();
    found.sort_unstable();
    found.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// The name as the catalogue would write it.
fn plain(wanted: &str) -> String {
    let name = wanted.rsplit('/').next().unwrap_or(wanted);
    name.chars().take(LONGEST).map(|c| if matches!(c, '_' | ' ') { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// How far a name lies from the wanted one, parts before typing errors; `None` when it is not near.
fn distance(wanted: &str, name: &str) -> Option<(bool, usize)> {
    let is_part = wanted.len() > 1 && name.contains(wanted);
    let edits = edits(wanted, name);
    (is_part || edits <= name.len() / 3).then_some((!is_part, edits))
}

/// Fewest insertions, deletions and replacements of one letter that turn `from` into `to` (Levenshtein's distance).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut left = i + 1;
        let next = to.chars().zip(row.windows(2)).map(|(b, above)| {
            let [diagonal, up] = [above.first(), above.last()].map(|cell| cell.copied().unwrap_or(usize::MAX));
            left = (diagonal + usize::from(a != b)).min(up + 1).min(left + 1);
            left
        });
        row = std::iter::once(i + 1).chain(next.collect::<Vec<_>>()).collect();
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (from, to, count) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("r1", "r1", 0)]
        {
            assert_eq!(edits(from, to), count, "{from} -> {to}");
        }
    }

    #[test]
    fn the_nearest_come_first_and_strangers_not_at_all() {
        let names = ["deepseek-r1", "deepseek-v3", "deepseek-v3.1", "nvidia-h200", "nvidia-h20"];
        let nearest = |wanted| nearest(wanted, names.into_iter());
        assert_eq!(nearest("deepseek-ai/DeepSeek-R1").first(), Some(&"deepseek-r1"));
        assert_eq!(nearest("deepsek-v3"), ["deepseek-v3", "deepseek-r1", "deepseek-v3.1"]);
        assert_eq!(nearest("h20"), ["nvidia-h20", "nvidia-h200"]);
        assert!(nearest("a-name-from-elsewhere").is_empty());
        assert!(nearest("").is_empty());
    }
}
