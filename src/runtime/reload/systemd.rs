//! Shell. What systemd is told of the state of this process (sd_notify(3)), where it has asked to be: `Type=notify-reload`.

use sd_notify::NotifyState;
use tracing::debug;

/// Everything listens, or listens again as it should.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// A reload begins. [`ready`] says that it has ended, well or not.
pub fn reloading() {
    // The moment tells a reload that was asked for from an older one.
    if let Ok(moment) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, moment]);
    }
}

/// The drain begins.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Without `NOTIFY_SOCKET` nothing is sent. That it fails is no reason to stop serving.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "systemd could not be told");
    }
}
