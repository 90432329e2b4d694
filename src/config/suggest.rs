//! Pure. Suggestions for unknown words.

use strsim::osa_distance;

/// The known word nearest to `word`, if at most a third of its letters differ.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let allowed = word.chars().count().div_ceil(3).min(3);
    let word = word.to_lowercase();
    known
        .into_iter()
        .filter_map(|candidate| Some((distance(&word, candidate, allowed)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Whether a single typing error turns `known` into `word`.
pub(super) fn is_slip(word: &str, known: &str) -> bool {
    distance(word, known, 1) == Some(1)
}

/// How many characters must be inserted, removed, replaced or swapped with a neighbour to turn one word into
/// the other. `None` if there are more than `most`. The work grows with the product of the lengths, so words
/// longer than any key are not compared.
fn distance(a: &str, b: &str, most: usize) -> Option<usize> {
    let (from, to) = (a.chars().count(), b.chars().count());
    if from.max(to) > LONGEST || from.abs_diff(to) > most {
        return None;
    }
    Some(osa_distance(a, b)).filter(|distance| *distance <= most)
}

const LONGEST: usize = 64;

/// A list of words for people: `` `a`, `b` ``.
pub(super) fn list<'k>(words: impl IntoIterator<Item = &'k str>) -> String {
    words.into_iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
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
        for (a, b, want) in [
            ("", "", 0),
            ("", "ab", 2),
            ("ab", "ba", 1),
            ("kitten", "sitting", 3),
            ("abc", "abc", 0),
            ("ä", "é", 1),
        ] {
            for (a, b) in [(a, b), (b, a)] {
                assert_eq!(distance(a, b, want), Some(want), "{a} {b}");
                assert_eq!(want.checked_sub(1).and_then(|less| distance(a, b, less)), None, "{a} {b}");
            }
        }
    }

    #[test]
    fn long_words_are_not_compared() {
        let (at, over) = ("x".repeat(LONGEST), "x".repeat(LONGEST + 1));
        assert_eq!(distance(&at, &at, 3), Some(0));
        assert_eq!(distance(&over, &over, 3), None);
        assert_eq!(distance(&at, &over, 3), None);
    }
}
