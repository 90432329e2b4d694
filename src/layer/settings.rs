//! Pure. What a layer is set to.

use super::challenges::Challenges;
use super::limits::Limits;

/// The settings of a layer.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// The limits of one request.
    pub(super) limits: Limits,
    /// The challenges that the layer answers.
    pub(super) challenges: Challenges,
}
