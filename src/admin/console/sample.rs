//! Pure. Recent requests for the tests of other files.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::admission::client::ClientAddress;
use crate::gateway::reason::Reason;
use crate::telemetry::recent::Recent;
use crate::telemetry::recent::entry::LikelyCause;
use crate::telemetry::record::{Record, RequestId, RouteLabel, SentPath};
use crate::telemetry::route_slot::Slot;

/// A request with this number. An odd one is refused.
pub(crate) fn record(number: u64, path: &str) -> Record {
    let mut record = Record::new(RequestId(number), ClientAddress::ip("192.0.2.1".parse().unwrap()));
    record.set_method("POST");
    record.sent_path = Some(SentPath::new(path));
    record.route = Some(RouteLabel { path: "/a".into(), slot: Slot::NO_ROUTE, scheme: "propify".into() });
    record.took = Duration::from_micros(1500);
    (record.status, record.secret) = (200, Some("current".into()));
    if number % 2 == 1 {
        (record.status, record.refused, record.secret) = (401, true, None);
        record.reason = Some(Reason::SignatureMismatch);
    }
    record
}

/// Recent requests with these records.
pub(crate) fn recent(records: impl IntoIterator<Item = Record>) -> Arc<Recent> {
    let recent = Recent::new(1000);
    for mut record in records {
        recent.request(&mut record, SystemTime::UNIX_EPOCH);
    }
    recent
}

/// A likely cause.
pub(crate) fn cause() -> LikelyCause {
    LikelyCause {
        label: "json_reserialized",
        detail: "the content was <b>re-encoded</b>".to_owned(),
        advice: "turn it off".to_owned(),
    }
}
