//! Shell. Notifies systemd of the state of this process (sd_notify(3)), for `Type=notify-reload`.

use sd_notify::NotifyState;
use tracing::debug;

/// The gateway is ready. Sent after the start, and after each reload.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// A reload begins. [`ready`] reports its end, whether it succeeded or failed.
pub fn reloading() {
    // The timestamp distinguishes this reload from earlier ones.
    if let Ok(moment) = NotifyState::monotonic_usec_now() {
        notify(&[NotifyState::Reloading, moment]);
    }
}

/// The drain begins.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// Sends a state. Does nothing without `NOTIFY_SOCKET`. A failure does not stop the gateway.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        debug!(%error, "systemd could not be told");
    }
}
