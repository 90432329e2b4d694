//! Pure. The paths of the API.

use http::Method;

use crate::config::Role;
use crate::queue::id::EventId;

/// The action that a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Queue,
    Events,
    Count,
    Event(EventId),
    Export,
    Discard,
    Replays,
    Replay(EventId),
    StartReplay,
    CancelReplay(EventId),
    Pause,
    Resume,
}

/// The action about recent requests that a path names. Such an action needs no queue. It is a GET, and needs
/// the role to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecentCall {
    Page,
    Stream,
    /// One request, by its number.
    One(u64),
}

impl RecentCall {
    /// The action that a path names. `None` if the path is another one.
    pub(super) fn of(path: &str) -> Option<Self> {
        match path.strip_prefix("/api/v1/requests")? {
            "" => Some(Self::Page),
            "/stream" => Some(Self::Stream),
            rest => rest.strip_prefix('/')?.parse().ok().map(Self::One),
        }
    }
}

/// The text for an unknown path: it lists the paths that exist.
pub(super) const MISSING: &str = "there is no such path: GET /api/v1/requests, /api/v1/requests/stream, /api/v1/requests/NUMBER, /api/v1/queue, /api/v1/events, /api/v1/events/count, /api/v1/events/export, \
     /api/v1/events/ID, /api/v1/replays, /api/v1/replays/ID; POST /api/v1/events/discard, /api/v1/events/replay, \
     /api/v1/replays/ID/cancel, /api/v1/routes/pause, /api/v1/routes/resume";

impl Call {
    /// The action that a path names. `None` if there is no such path.
    pub(super) fn of(path: &str) -> Option<Self> {
        let id = |text: &str| text.parse().ok();
        let mut parts = path.strip_prefix("/api/v1/")?.split('/');
        let parts = (parts.next()?, parts.next(), parts.next(), parts.next());
        match parts {
            ("queue", None, None, None) => Some(Self::Queue),
            ("events", None, None, None) => Some(Self::Events),
            ("events", Some("count"), None, None) => Some(Self::Count),
            ("events", Some("export"), None, None) => Some(Self::Export),
            ("events", Some("discard"), None, None) => Some(Self::Discard),
            ("events", Some("replay"), None, None) => Some(Self::StartReplay),
            ("events", Some(event), None, None) => id(event).map(Self::Event),
            ("replays", None, None, None) => Some(Self::Replays),
            ("replays", Some(replay), None, None) => id(replay).map(Self::Replay),
            ("replays", Some(replay), Some("cancel"), None) => id(replay).map(Self::CancelReplay),
            ("routes", Some("pause"), None, None) => Some(Self::Pause),
            ("routes", Some("resume"), None, None) => Some(Self::Resume),
            _ => None,
        }
    }

    /// The method of the action. Every change needs POST.
    pub(super) const fn method(&self) -> Method {
        match self.role() {
            Role::Read => Method::GET,
            Role::Operate => Method::POST,
        }
    }

    /// The role that the action needs.
    pub(super) const fn role(&self) -> Role {
        match self {
            Self::Queue
            | Self::Events
            | Self::Count
            | Self::Event(_)
            | Self::Export
            | Self::Replays
            | Self::Replay(_) => Role::Read,
            Self::Discard | Self::StartReplay | Self::CancelReplay(_) | Self::Pause | Self::Resume => {
                Role::Operate
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_known_whole_or_not_at_all() {
        let id = EventId::from_bytes([0x70; 16]);
        let path = |text: &str| Call::of(&text.replace("ID", &id.to_string()));
        assert_eq!(path("/api/v1/events/ID"), Some(Call::Event(id)));
        assert_eq!(path("/api/v1/replays/ID/cancel"), Some(Call::CancelReplay(id)));
        assert_eq!(path("/api/v1/events/export"), Some(Call::Export));
        assert_eq!(RecentCall::of("/api/v1/requests"), Some(RecentCall::Page));
        assert_eq!(RecentCall::of("/api/v1/requests/stream"), Some(RecentCall::Stream));
        assert_eq!(RecentCall::of("/api/v1/requests/17"), Some(RecentCall::One(17)));
        for unknown in [
            "/api/v1/requests/",
            "/api/v1/requests/x",
            "/api/v1/requests/1/x",
            "/api/v1/requestsx",
            "/api/v1/requests/stream/x",
            "/api/v2/requests",
        ] {
            assert_eq!((RecentCall::of(unknown), path(unknown)), (None, None), "{unknown}");
        }
        for unknown in [
            "/api",
            "/api/v1",
            "/api/v1/",
            "/api/v2/events",
            "/api/v1/events/",
            "/api/v1/events/x",
            "/api/v1/events/ID/x",
            "/api/v1/replays/ID/cancel/x",
        ] {
            assert_eq!(path(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn every_change_is_a_post_that_needs_the_role() {
        for path in ["events/discard", "events/replay", "routes/pause", "routes/resume"] {
            let call = Call::of(&format!("/api/v1/{path}")).unwrap();
            assert_eq!((call.method(), call.role()), (Method::POST, Role::Operate), "{path}");
        }
        assert_eq!(Call::Events.method(), Method::GET);
    }
}
