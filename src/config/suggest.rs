//! Pure. What somebody who wrote an unknown word may have meant.

/// The known word nearest to `word`, if one is near: a third of its letters may differ.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let length = word.chars().count();
    let allowed = length.div_ceil(3).min(3);
    let word = word.to_lowercase();
    known
        .into_iter()
        .filter(|candidate| {
            candidate.len().abs_diff(length) <= allowed && foreign(&word, candidate) <= allowed
        })
        .map(|candidate| (distance(&word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether a single slip makes `known` to `word`.
pub(super) fn is_slip(word: &str, known: &str) -> bool {
    word.len().abs_diff(known.len()) <= 1 && foreign(word, known) <= 1 && distance(word, known) == 1
}

/// How many characters one of the words has at least that the other does not: each is a change of its own, so that this is
/// never more than the distance, and it is found much faster.
fn foreign(a: &str, b: &str) -> usize {
    let letters = |word: &str| word.chars().fold(0, |set, c| set | 1_u64.wrapping_shl(u32::from(c)));
    let (a, b) = (letters(a), letters(b));
    let most = (a & !b).count_ones().max((b & !a).count_ones());
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// Words as a list for people: `` `a`, `b` ``.
pub(super) fn list<'k>(words: impl IntoIterator<Item = &'k str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// How many characters must be put in, taken out, replaced or swapped with their neighbour to make one word the other
/// (the optimal string alignment distance). Long words are not worth the time: they are far from everything.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    if a.len().max(b.len()) > LONGEST {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, from) in a.iter().enumerate() {
        let mut current = vec![row.saturating_add(1)];
        for (column, to) in b.iter().enumerate() {
            let at = |line: &[usize], column: usize| line.get(column).copied().unwrap_or(usize::MAX);
            let next = column.saturating_add(1);
            let replaced = at(&above, column).saturating_add(usize::from(from != to));
            let removed = at(&above, next).saturating_add(1);
            let added = at(&current, column).saturating_add(1);
            let mut least = replaced.min(removed).min(added);
            if let (Some(last_row), Some(last)) = (row.checked_sub(1), column.checked_sub(1))
                && a.get(last_row) == Some(to)
                && b.get(last) == Some(from)
            {
                least = least.min(at(&before, last).saturating_add(1));
            }
            current.push(least);
        }
        before = std::mem::replace(&mut above, current);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

const LONGEST: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let known = ["listen", "workers", "max_connections", "max_body", "path"];
        for (word, want) in [
            ("lisen", Some("listen")),
            ("listne", Some("listen")),
            ("Listen", Some("listen")),
            ("max-body", Some("max_body")),
            ("maxbody", Some("max_body")),
            ("max_conections", Some("max_connections")),
            ("pth", Some("path")),
            ("colour", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(nearest(word, known), want, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }

    #[test]
    fn distances_count_single_changes() {
        for (a, b, want) in
            [("", "", 0), ("", "ab", 2), ("ab", "ba", 1), ("kitten", "sitting", 3), ("abc", "abc", 0)]
        {
            assert_eq!(distance(a, b), want, "{a} {b}");
            assert_eq!(distance(b, a), want, "{b} {a}");
            assert!(foreign(a, b) <= want, "{a} {b}");
        }
    }

    proptest! {
        /// So that what is passed over for it is far, too.
        #[test]
        fn foreign_letters_are_never_more_than_the_distance(a in "[a-d_é@]{0,8}", b in "[a-d_é@]{0,8}") {
            prop_assert!(foreign(&a, &b) <= distance(&a, &b));
        }
    }
}
