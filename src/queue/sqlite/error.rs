//! Pure. Translates errors of SQLite.

use rusqlite::ErrorCode;

use crate::queue::store::StoreError;

/// Translates an error of SQLite into a store's error. After a full disk the store is intact; any other error
/// is a failure.
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        StoreError::Full
    } else {
        StoreError::Failed(Box::new(error))
    }
}

/// Whether an error concerns only one value that cannot be read, in a store that is otherwise intact.
pub(super) fn is_of_value(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_none()
}
