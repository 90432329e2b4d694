//! Pure. The number of rows in one step of a removal, computed from the duration of the last step.
//!
//! Removed content is overwritten, so the removal of large content takes long. Events that arrive meanwhile
//! wait for the end of the step.

use std::time::Duration;

/// The rows of the first step.
const FIRST: usize = 25;

/// The most rows of a step.
const MOST: usize = 200;

/// The longest intended duration of a step.
const LONG: Duration = Duration::from_millis(50);

/// The pace of removals.
#[derive(Clone, Copy, Debug)]
pub(super) struct RemovalPace {
    rows: usize,
}

impl Default for RemovalPace {
    fn default() -> Self {
        Self { rows: FIRST }
    }
}

impl RemovalPace {
    /// The rows of the next step.
    pub(super) fn rows(self) -> usize {
        self.rows
    }

    /// Records the number of rows and the duration of a step.
    pub(super) fn took(&mut self, rows: usize, took: Duration) {
        if took > LONG {
            let fits = LONG.as_micros().saturating_mul(u128::try_from(rows).unwrap_or(u128::MAX));
            let fits = fits.checked_div(took.as_micros()).and_then(|fits| usize::try_from(fits).ok());
            self.rows = fits.unwrap_or(MOST).clamp(1, MOST);
        } else if rows >= self.rows && took < LONG.checked_div(4).unwrap_or(LONG) {
            self.rows = self.rows.saturating_mul(2).min(MOST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn a_step_that_took_long_is_followed_by_one_that_does_not() {
        let mut pace = RemovalPace::default();
        for (rows, took, want) in [
            // Quick steps grow, up to the most.
            (25, MILLI, 50),
            (50, MILLI * 12, 100),
            (100, MILLI, 200),
            (200, MILLI, 200),
            // Neither quick nor long.
            (200, MILLI * 50, 200),
            (200, MILLI * 13, 200),
            (200, MILLI * 51, 196),
            (196, MILLI * 1_000, 9),
            (9, MILLI * 100_000, 1),
            (1, MILLI * 100_000, 1),
            // A step that found little to remove says nothing.
            (0, MILLI, 1),
            (1, MILLI, 2),
        ] {
            pace.took(rows, took);
            assert_eq!(pace.rows(), want, "{rows} {took:?}");
        }
    }
}
