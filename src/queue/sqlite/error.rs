//! Pure. How errors of SQLite are told apart.

use rusqlite::ErrorCode;

use crate::queue::store::StoreError;

/// An error of SQLite, as the trait of stores has it. A full disk leaves the store whole; any other error is a failure.
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        StoreError::Full
    } else {
        StoreError::Failed(Box::new(error))
    }
}

/// Whether an error is that of one value that cannot be read, in a store that is whole otherwise.
pub(super) fn is_of_value(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_none()
}
