//! Shell. The tables of the store, and the promises that the server must make.

use tracing::warn;

use crate::queue::postgres::error::{Error, Result};
use crate::queue::postgres::session::Call;

/// The version of the schema that this code reads and writes.
pub(super) const VERSION: i64 = 2;

/// The oldest version of the server whose SQL this code needs: 12.
const OLDEST_SERVER: i32 = 120_000;

/// The first statements of the session that commits.
///
/// An index leads to the rows of every statement. Nevertheless, the server can choose to read a whole table,
/// for example if its statistics of the table are old. `enable_seqscan = off` prevents this choice.
pub(super) const WRITER: &str = "
    set search_path = hookgate, pg_catalog;
    set statement_timeout = '30s';
    set lock_timeout = '10s';
    set idle_in_transaction_session_timeout = '30s';
    set default_transaction_isolation = 'read committed';
    set timezone = 'UTC';
    set enable_seqscan = off;
";

/// The first statements of a session that reads and takes deliveries. Taking a delivery need not be on disk:
/// after a crash of the server, the delivery is taken again.
pub(super) const READER: &str = "
    set search_path = hookgate, pg_catalog;
    set statement_timeout = '30s';
    set lock_timeout = '10s';
    set idle_in_transaction_session_timeout = '30s';
    set default_transaction_isolation = 'read committed';
    set synchronous_commit = off;
    set timezone = 'UTC';
    set enable_seqscan = off;
";

/// The tables of version 1.
///
/// The tables are those of the SQLite store, with three differences. `delivery.owner` is the gateway that has
/// a delivery in memory, and `gateway` says until when each gateway counts as alive. `tally` has the numbers
/// of deliveries for each gateway, so no two gateways wait for the same row. `claim` has the events with an
/// open outcome, on routes that deduplicate. This table is unlogged, because no request survives a crash of
/// the server.
///
/// Values that a client can choose are `bytea`, because PostgreSQL's text cannot contain a zero byte.
const TABLES: &str = "
    create table store (version bigint not null);
    create table gateway (
        id bigint primary key,
        alive_until timestamptz not null
    );
    create table route (
        number bigint generated always as identity primary key,
        path text not null,
        model bytea
    );
    create unique index route_name on route (path, (coalesce(model, '')), (model is null));
    create table destination (
        number bigint generated always as identity primary key,
        route bigint not null,
        upstream text not null,
        unique (route, upstream)
    );
    create sequence event_seq cache 1;
    create sequence delivery_id cache 1;
    create table event (
        seq bigint primary key,
        id bytea not null unique,
        received bigint not null,
        route bigint not null,
        scheme text not null,
        secret bytea not null,
        model bytea,
        client bytea not null,
        method bytea not null,
        target bytea not null,
        digest bytea not null,
        lane bytea,
        duplicate bytea,
        duplicate_until bigint,
        length bigint not null,
        checksum bytea not null
    );
    create table content (
        seq bigint primary key,
        head bytea not null,
        content bytea not null
    );
    alter table content alter column head set storage external;
    alter table content alter column content set storage external;
    create table delivery (
        id bigint primary key,
        event bigint not null,
        event_id bytea not null,
        destination bigint not null,
        state bigint not null,
        ready boolean not null,
        class bigint not null,
        due bigint not null,
        since bigint not null,
        spent bigint not null,
        attempts bigint not null,
        lane bytea,
        ended bigint,
        size bigint not null,
        owner bigint
    ) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
    create index delivery_event on delivery (event);
    create index delivery_due on delivery (destination, class, due, id) where ready;
    create index delivery_queued on delivery (destination, id) where state = 0;
    create index delivery_dead on delivery (event) where state > 1;
    create index delivery_lane on delivery (destination, lane, id) where state = 0 and lane is not null;
    create table attempt (
        delivery bigint not null,
        number bigint not null,
        at bigint not null,
        took bigint not null,
        outcome text not null,
        status bigint,
        response bytea not null,
        detail text,
        primary key (delivery, number)
    );
    create table finished (
        kind bigint not null,
        at bigint not null,
        event bigint not null,
        primary key (kind, at, event)
    ) with (autovacuum_vacuum_scale_factor = 0.02);
    create index finished_event on finished (event);
    create table seen (
        route bigint not null,
        key bytea not null,
        until bigint not null,
        primary key (route, key)
    );
    create index seen_until on seen (until);
    create unlogged table claim (
        route bigint not null,
        key bytea not null,
        owner bigint not null,
        primary key (route, key)
    );
    create table paused (
        route bigint primary key
    );
    create table job (
        id bytea primary key,
        document bytea not null,
        owner bigint
    );
    create table tally (
        destination bigint not null,
        gateway bigint not null,
        queued bigint not null,
        queued_bytes bigint not null,
        delivered bigint not null,
        dead bigint not null,
        kept bigint not null,
        kept_bytes bigint not null,
        primary key (destination, gateway)
    ) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
    insert into store (version) values (1);
";

/// The change from version 1 to version 2: the events that a gateway has discarded while another gateway,
/// `owner`, has them in memory. The owner removes the row when no delivery of the event begins any more.
const TO_VERSION_2: &str = "
    create table discarded (
        owner bigint not null,
        event bytea not null,
        primary key (owner, event)
    );
    update store set version = 2;
";

/// The first number of the advisory locks of this program.
const LOCKS: i32 = 0x686f_6f6b;

/// Locks the lanes of routes until the end of the transaction. So the order of deliveries' numbers is the
/// order of commits. The routes are locked in ascending order, so no two gateways wait for each other.
pub(super) async fn lock_lanes(call: &Call, routes: impl IntoIterator<Item = i64>) -> Result<()> {
    for route in routes {
        let number = i32::try_from(route).map_err(|_too_many| Error::Value)?;
        call.query("select pg_advisory_xact_lock($1, $2)", &[&LOCKS, &number]).await?;
    }
    Ok(())
}

/// Refuses a database that cannot hold every text. The address of a copy or the result of an attempt may have
/// a text that the database cannot hold. Then each commit would fail.
pub(super) async fn insist_on_encoding(call: &Call) -> Result<()> {
    let row = call.first("select current_setting('server_encoding')", &[]).await?.ok_or(Error::Value)?;
    match row.try_get(0)? {
        // SQL_ASCII holds any bytes.
        "UTF8" | "SQL_ASCII" => Ok(()),
        other => Err(Error::Encoding(other.to_owned())),
    }
}

/// Whether the tables are there, or this user may make them.
pub(super) async fn may_prepare(call: &Call) -> Result<bool> {
    let sql = "select case \
        when to_regclass('hookgate.store') is not null then has_table_privilege('hookgate.store', 'select') \
        when to_regnamespace('hookgate') is not null then has_schema_privilege('hookgate', 'create') \
        else has_database_privilege(current_database(), 'create') end";
    Ok(call.first(sql, &[]).await?.ok_or(Error::Value)?.try_get(0)?)
}

/// Makes the tables if there are none, and changes tables of an older version. Returns the version of the
/// schema. The caller has begun a transaction.
pub(super) async fn prepare(call: &Call) -> Result<i64> {
    // If two gateways start together, only one makes the tables.
    call.query("select pg_advisory_xact_lock($1, 0)", &[&LOCKS]).await?;
    let is_there = "select to_regclass('hookgate.store') is not null";
    let is_there: bool = match call.first(is_there, &[]).await? {
        Some(row) => row.try_get(0)?,
        None => false,
    };
    if !is_there {
        call.batch("create schema if not exists hookgate").await?;
        call.batch(TABLES).await?;
    }
    let version = call.first("select version from hookgate.store", &[]).await?;
    match version.ok_or(Error::Value)?.try_get(0)? {
        1 => {
            call.batch(TO_VERSION_2).await?;
            Ok(VERSION)
        }
        version => Ok(version),
    }
}

/// The server's promises about a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Promises {
    /// Its version, as a number: 150004 is 15.4.
    pub(super) version: i32,
    /// Its version, as text.
    pub(super) name: String,
    /// `synchronous_commit`
    pub(super) synchronous_commit: String,
    /// `fsync`
    pub(super) fsync: bool,
    /// `full_page_writes`
    pub(super) full_page_writes: bool,
}

impl Promises {
    /// Asks the server.
    pub(super) async fn of(call: &Call) -> Result<Self> {
        let sql = "select current_setting('server_version_num')::int, current_setting('server_version'), \
            current_setting('synchronous_commit'), current_setting('fsync')::bool, \
            current_setting('full_page_writes')::bool";
        let row = call.first(sql, &[]).await?.ok_or(Error::Value)?;
        Ok(Self {
            version: row.try_get(0)?,
            name: row.try_get(1)?,
            synchronous_commit: row.try_get(2)?,
            fsync: row.try_get(3)?,
            full_page_writes: row.try_get(4)?,
        })
    }

    /// Whether the version of the server is too old.
    pub(super) fn is_too_old(&self) -> bool {
        self.version < OLDEST_SERVER
    }

    /// The settings by which a crash of the server can lose acknowledged events.
    pub(super) fn broken(&self) -> Vec<&'static str> {
        let settings = [
            ("synchronous_commit", self.synchronous_commit == "off"),
            ("fsync", !self.fsync),
            ("full_page_writes", !self.full_page_writes),
        ];
        settings.into_iter().filter(|(_, is_broken)| *is_broken).map(|(name, _)| name).collect()
    }
}

/// Asks the server to sync each commit of this session, whatever its default is. Warns of settings that this
/// session cannot change.
pub(super) async fn insist(call: &Call, promises: &Promises) -> Result<()> {
    for setting in promises.broken() {
        if setting == "synchronous_commit" {
            call.batch("set synchronous_commit = on").await?;
            warn!("synchronous_commit is off on the PostgreSQL server: this session sets it to on");
        } else {
            warn!(
                setting,
                "a setting of the PostgreSQL server is off: a crash of the server can lose events"
            );
        }
    }
    Ok(())
}
