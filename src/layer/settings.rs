//! Pure. The settings of a layer.

use super::challenges::Challenges;
use super::limits::Limits;

/// The limits of a request, and the challenges that are answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings {
    /// The limits of one request.
    pub(super) limits: Limits,
    /// The challenges that the layer answers.
    pub(super) challenges: Challenges,
}
