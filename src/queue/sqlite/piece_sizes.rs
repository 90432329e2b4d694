//! Pure. How the content of an event is divided among rows, so that rows fill the pages of SQLite.
//!
//! A page holds only whole rows. A page of 4 KiB holds one row of 2.1 KiB, and nearly half of the page is
//! unused. A row that is larger than a page has its beginning in a page with other rows, and its rest in
//! further pages of its own. So the content of some sizes is divided into a first part and pieces of equal
//! size that fill their pages.

/// The size of a page.
const PAGE: usize = 4096;

/// The bytes of a page that rows can use.
const ROOM: usize = 4088;

/// The most bytes of a row that are in a page with other rows. A longer row has further pages.
const MOST_LOCAL: usize = 4061;

/// The least bytes of a row with further pages that are in a page with other rows.
const LEAST_LOCAL: usize = 489;

/// The bytes of a row in each further page.
const FURTHER: usize = 4092;

/// The bytes that a row takes besides its columns: its length and key, its place in the page, the types of
/// its columns.
const BESIDES: usize = 24;

/// The most pieces of one event.
const MOST_PIECES: usize = 7;

/// Rows up to this length are not divided, because a page holds at least three of them.
const SHORT: usize = 1330;

/// Rows of this length and longer are not divided, because they leave only a small part of their pages
/// unused.
const LONG: usize = 16 * PAGE;

/// How content is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Division {
    /// The length of the first part, which is in the row of the head.
    pub(super) first: usize,
    /// The length of each piece that follows. The last piece may be shorter.
    pub(super) piece: usize,
}

/// How the content of an event is divided. `None` if the content is not divided.
pub(super) fn division(head: usize, content: usize) -> Option<Division> {
    let whole = head.saturating_add(content);
    if whole <= SHORT || whole >= LONG || is_good(pages(whole), whole) {
        return None;
    }
    let mut best = (pages(whole), None);
    for count in 1..=MOST_PIECES {
        let first = first_row(whole, count).saturating_sub(head).min(content);
        let rest = content.saturating_sub(first);
        let piece = rest.div_ceil(count);
        if piece == 0 {
            break;
        }
        let taken = pages(head.saturating_add(first)).saturating_add(pages(piece).saturating_mul(count));
        if taken < best.0 {
            best = (taken, Some(Division { first, piece }));
        }
        if is_good(taken, whole) {
            break;
        }
    }
    best.1
}

/// The length of the row with the head, if this number of pieces follows the row. The further pages of the
/// row are full.
fn first_row(whole: usize, count: usize) -> usize {
    let further = whole.saturating_sub(LEAST_LOCAL).checked_div(FURTHER).unwrap_or(0);
    if further > 0 {
        further.saturating_mul(FURTHER).saturating_add(LEAST_LOCAL).saturating_sub(BESIDES)
    } else {
        whole.div_ceil(count.saturating_add(1))
    }
}

/// Whether a row of this length takes at most 1.2 times its length in pages.
fn is_good(taken: usize, length: usize) -> bool {
    taken.saturating_mul(100) <= length.saturating_mul(120)
}

/// The bytes of pages that a row of this length takes, if many rows have its length.
fn pages(length: usize) -> usize {
    let length = length.saturating_add(BESIDES);
    let (local, further) = if length <= MOST_LOCAL {
        (length, 0)
    } else {
        let beyond = length.saturating_sub(LEAST_LOCAL);
        let last = beyond.checked_rem(FURTHER).unwrap_or(0);
        let local = LEAST_LOCAL.saturating_add(last);
        if local <= MOST_LOCAL {
            (local, beyond.checked_div(FURTHER).unwrap_or(0))
        } else {
            (LEAST_LOCAL, beyond.div_ceil(FURTHER))
        }
    };
    let in_page = ROOM.checked_div(local).unwrap_or(1).max(1);
    let share = PAGE.checked_div(in_page).unwrap_or(PAGE);
    further.saturating_mul(PAGE).saturating_add(share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_take_at_most_a_quarter_more_than_their_content_and_100_bytes() {
        for head in [150, 300, 700] {
            for content in 0..70_000_usize {
                let whole = head + content;
                let taken = match division(head, content) {
                    None => pages(whole),
                    Some(Division { first, piece }) => {
                        let rest = content - first;
                        assert!(rest.div_ceil(piece) <= MOST_PIECES, "{content}");
                        (0..rest).step_by(piece).map(|at| pages(piece.min(rest - at))).sum::<usize>()
                            + pages(head + first)
                    }
                };
                assert!(taken * 4 <= (whole + 100) * 5, "{head} and {content} bytes take {taken}");
            }
        }
    }

    #[test]
    fn small_and_long_content_is_not_divided() {
        for content in (0..=1_030).chain(65_536..65_600) {
            assert_eq!(division(300, content), None, "{content}");
        }
    }

    #[test]
    fn a_division_leaves_the_head_whole() {
        for head in [1_000, 2_000, 3_900, 9_000] {
            for content in [0, 1, 500, 2_000, 4_000, 9_000] {
                if let Some(Division { first, piece }) = division(head, content) {
                    assert!(
                        first <= content && piece > 0 && (content - first).div_ceil(piece) <= MOST_PIECES
                    );
                }
            }
        }
    }
}
