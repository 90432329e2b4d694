//! Pure. All keys of gateway.toml.
//!
//! To add a key, add an entry here. The reader, the schema and the manual page use these tables.

mod assertion;
mod forms;
mod queue;
mod tls;

use crate::admission::trusted_proxies::ClientField;
use crate::config::bounds::{MOST_CONNECTIONS, MOST_IDLE, MOST_MEMORY, MOST_RECENT, MOST_WORKERS};
use crate::config::choices::{
    ACCESS, AFTER_NAME, ANSWER_USES, CHALLENGE_STATUSES, CHALLENGES, CONSOLE_CONTENTS, EMPTY_ACKNOWLEDGMENTS,
    FORMATS, LEVELS, LOG_FORMATS, MODES, REFUSALS, ROLES, SETUP_METHODS,
};
use crate::config::key_description::{Key, Value, has, names};
use crate::signature::algorithm::Algorithm;
use crate::signature::field::{Encoding, Separator};
use crate::signature::scheme::PRESETS;
use crate::signature::secret::SecretEncoding;
use crate::signature::window::Unit;

use forms::{ENV, FILE, LISTENERS, ORIGIN, words};

pub(super) use assertion::{ASSERTION, ASSERTION_KEY};
pub(super) use queue::{QUEUE, RETRY, ROUTE_RETRY};
pub(super) use tls::{
    ACME, ADMIN_KEY_PAIR, CLIENT_NAMES, EXTERNAL_ACCOUNT, EXTERNAL_ACCOUNT_KEY, KEY_PAIR, TLS,
};

/// The top level.
pub(super) const ROOT: &[Key] = &[
    Key::new("server", Value::Table(SERVER)).about("The listeners, the workers, and the shutdown."),
    Key::new("tls", Value::Table(TLS)).about("Listeners that speak TLS. Without this table there are none."),
    Key::new("limits", Value::Table(LIMITS)).about("Limits on the memory and time that clients use."),
    Key::new("upstream", Value::Table(UPSTREAM)).about("Connections to upstreams. A route may override these settings."),
    Key::new("admin", Value::Table(ADMIN))
        .about("Health, readiness and metrics. Without this table they are off."),
    Key::new("log", Value::Table(LOG)).about("Log lines, on standard output."),
    Key::new("forward", Value::Table(FORWARD))
        .about("Fields that are added to forwarded requests. Default: none."),
    Key::new("queue", Value::Table(QUEUE))
        .about("The store of events that are delivered later. Needed if a route stores events."),
    Key::new("retry", Value::Table(RETRY))
        .about("When a failed delivery is tried again, and when it is given up. A route may override these settings."),
    Key::new("schemes", Value::Named { name: LABEL, value: &Value::TableWithOne { keys: SCHEME, of: &["header", "parameter"] } })
        .about("Schemes of senders that hookgate does not know, each under its own name."),
    Key::new("signature", SIGNED).about("The scheme and secrets of every route that has no signature of its own."),
    Key::new("routes", Value::List { of: &Value::Table(ROUTE), empty: false })
        .required()
        .about("Paths and their upstreams. A literal segment takes precedence over {name}, and {name} over {*rest}."),
];

/// `[server]`
pub(super) const SERVER: &[Key] = &[
    Key::new("listen", LISTENERS).or("\"127.0.0.1:8080\"").about(
        "An address or a list of addresses: IP and port, or unix:/path. 0.0.0.0:8080 is every interface.",
    ),
    Key::new("reuse_port", Value::Flag)
        .or("false")
        .about("Whether a second hookgate may listen on the same addresses, for an upgrade."),
    Key::new("h2c", Value::Flag).or("false").about(
        "Whether clients may speak HTTP/2 without TLS on these listeners, with prior knowledge. HTTP/1.1 is always served.",
    ),
    Key::new("unix_mode", Value::Text("^0?[0-7]{3}$"))
        .or("\"0660\"")
        .about("The mode of the unix sockets' files, in octal. A client needs write permission to connect."),
    Key::new("proxy_protocol", Value::Table(PROXY_PROTOCOL)).about(
        "Proxies that announce the client at the beginning of each connection (PROXY protocol, version 1 \
         or 2). A trusted proxy must announce it. Announcements of other clients are not accepted.",
    ),
    Key::new("client_address", Value::Table(CLIENT_ADDRESS)).about(
        "Proxies that report the client of each request in a field. Without this key, the client is the other end \
         of the connection.",
    ),
    Key::new("workers", Value::Count { least: 1, most: MOST_WORKERS }).about(
        "The number of threads. Each has its own listener and its own connections to the upstreams. \
         Default: one per core.",
    ),
    Key::new("max_connections", Value::Count { least: 1, most: MOST_CONNECTIONS }).or("10000").about(
        "The most connections at the same time. At the limit, a connection that waits for its client is \
         closed for a new connection. A connection whose authentic event waits for the app is not closed.",
    ),
    Key::new("max_connections_per_client", Value::Count { least: 1, most: MOST_CONNECTIONS }).about(
        "The most connections of one client at the same time. A client is an IPv4 address or an IPv6 /64. \
         Further connections are reset at once. Trusted proxies and unix sockets are exempt. Default: no limit.",
    ),
    Key::new("drain_delay", Value::Duration)
        .about("How long requests are still accepted after SIGTERM, while readiness fails. Default: none."),
    Key::new("shutdown_grace", Value::Duration).or("\"30s\"").about(
        "How long requests under way may take after SIGTERM and drain_delay, before they are cut off.",
    ),
];

/// A list of networks and of the names of sets.
const ALLOWED: Value =
    Value::List { of: &Value::Text("^([a-z-]+|[0-9A-Fa-f.:]+(/[0-9]{1,3})?)$"), empty: false };

/// A list of networks.
const NETWORKS: Value =
    Value::List { of: &Value::Text("^(unix|[0-9A-Fa-f.:]+(/[0-9]{1,3})?)$"), empty: false };

/// `client_address` of `[server]`.
pub(super) const CLIENT_ADDRESS: &[Key] = &[
    Key::new("trusted", NETWORKS).required().about(
        "The proxies that are believed: addresses, networks such as 10.0.0.0/8, or unix for every client of a \
         unix socket.",
    ),
    Key::new("field", Value::Word(|| words(&ClientField::ALL))).or("\"x-forwarded-for\"").about(
        "The field in which the proxies report the client. The client is the last address in the field that is no \
         trusted proxy.",
    ),
];

/// `proxy_protocol` of `[server]`.
pub(super) const PROXY_PROTOCOL: &[Key] = &[
    Key::new("trusted", NETWORKS).required().about(
        "The proxies: addresses, networks such as 10.0.0.0/8, or unix for every client of a unix \
         socket.",
    ),
    Key::new("listen", LISTENERS)
        .about("The listeners on which proxies announce clients, as written in [server]. Default: all."),
];

/// `[limits]`
pub(super) const LIMITS: &[Key] = &[
    Key::new("max_body", Value::Size { least: 1, most: MOST_MEMORY }).or("\"1MiB\"").about(
        "Against huge bodies: the most bytes of a body. A route may set its own limit. 413, body_too_large.",
    ),
    Key::new("max_buffered", Value::Size { least: 1, most: MOST_MEMORY }).or("\"256MiB\"").about(
        "Against many bodies and large heads at the same time: the most bytes in memory of all request \
         bodies, and of request heads over 4 KiB. Never less than any max_body. 503, overloaded.",
    ),
    Key::new("max_header_bytes", Value::Size { least: 1 << 10, most: 1 << 20 }).or("\"32KiB\"").about(
        "Against endless header fields: the most bytes of request line and fields together. 431. 414 if \
         the request line alone exceeds this limit or 16 KiB.",
    ),
    Key::new("header_timeout", Value::Duration).or("\"10s\"").about(
        "Against connections that send nothing: the time to the end of the header fields. 408. A \
         connection on which nothing has arrived is closed without an answer.",
    ),
    Key::new("body_timeout", Value::Duration).or("\"30s\"").about(
        "Against bodies that never end: the time from the end of the header fields to the end of the body. \
         408, body_timeout.",
    ),
    Key::new("min_body_rate", Value::Size { least: 0, most: MOST_MEMORY }).or("\"1KiB\"").about(
        "Against slow bodies: the least average rate after the first 5 s, in bytes per second. 408, \
         body_timeout. Also against clients that read their response slowly: the least average rate over \
         the time that the client makes the gateway wait. 0 turns both limits off.",
    ),
    Key::new("idle_timeout", Value::Duration)
        .or("\"75s\"")
        .about("Against idle connections: the time between two requests."),
    Key::new("write_timeout", Value::Duration).or("\"30s\"").about(
        "Against clients that do not read their response: the longest time without progress. The total time \
         is limited by min_body_rate.",
    ),
    Key::new("max_failures_per_client", Value::Text("^[0-9]+/([0-9]+(ms|s|m|h|d))+$")).about(
        "The most refused requests of one client in a period, for example 60/1m. Further requests get 429, \
         too_many_failures. Guards against clients that try again and again. A client is an IPv4 address or an \
         IPv6 /64. Verified events never count. Default: no limit.",
    ),
];

/// `[upstream]`
pub(super) const UPSTREAM: &[Key] = &[
    CONNECT_TIMEOUT.or("\"2s\""),
    RESPONSE_TIMEOUT.or("\"30s\""),
    MAX_IDLE.or("64"),
    IDLE_TIMEOUT.or("\"4s\""),
    tls::CA,
    tls::OWN_CERTIFICATE,
];

const CONNECT_TIMEOUT: Key = Key::new("connect_timeout", Value::Duration)
    .about("Against apps that are down: the time to connect. 502, upstream_unreachable.");
const RESPONSE_TIMEOUT: Key = Key::new("response_timeout", Value::Duration).about(
    "Against apps that hang: the time from the last byte of the request to the response's header fields. \
         504, upstream_timeout. Also the time for each further piece of a request that is being sent, and \
         for each further piece of the response.",
);
const MAX_IDLE: Key = Key::new("max_idle", Value::Count { least: 0, most: MOST_IDLE }).about(
    "The most idle connections to an upstream that all workers together keep open for the next request.",
);
const IDLE_TIMEOUT: Key = Key::new("idle_timeout", Value::Duration).about(
    "How long an idle connection to an upstream is kept. It must be less than the upstream's own \
         limit. Otherwise a request may be sent over a connection that is being closed.",
);

/// `[admin]`
pub(super) const ADMIN: &[Key] = &[
    Key::new("listen", LISTENERS)
        .or("\"127.0.0.1:9901\"")
        .about("An address or a list of them: IP and port, or unix:/path. Never where senders can reach it."),
    Key::new("unix_mode", Value::Text("^0?[0-7]{3}$"))
        .or("\"0600\"")
        .about("The mode of the unix sockets' files, in octal. A user who may write to one needs no token."),
    Key::new(
        "tokens",
        Value::List { of: &Value::TableWithOne { keys: TOKEN, of: &["env", "file"] }, empty: true },
    )
    .about(
        "Tokens to read and manage events. Without a token, only programs on the gateway's own machine may \
     do this.",
    ),
    tls::ADMIN_TLS,
    Key::new("recent", Value::Count { least: 0, most: MOST_RECENT })
        .or("1000")
        .about("How many ended requests and deliveries are kept for looking at, for the API and `hookgate tail`. 0: none."),
    Key::new("console", Value::FlagOr("read-only")).or("false").about(
        "The pages for people at /. read-only: they change nothing. On addresses that other machines reach, they \
         need tls. hookgate console prints a link to them.",
    ),
];

/// An element of `tokens` of `[admin]`.
pub(super) const TOKEN: &[Key] = &[
    Key::new("name", LABELLED).required().about("The token's name in the log."),
    ENV,
    FILE,
    Key::new("role", Value::Word(|| words(&ROLES)))
        .or("\"read\"")
        .about("read: show events. operate: also replay, discard, pause and resume."),
];

/// `[log]`
pub(super) const LOG: &[Key] = &[
    Key::new("format", Value::Word(|| words(&LOG_FORMATS)))
        .or("\"auto\"")
        .about("pretty for people, json for programs, auto: pretty on a terminal and json otherwise."),
    Key::new("level", Value::Word(|| words(&LEVELS))).or("\"info\"").about(
        "error: an operator must act. warn: an operator should check something. info: ordinary events. debug \
         and trace: details of the program's work.",
    ),
    Key::new("access", Value::Word(|| words(&ACCESS)))
        .or("\"all\"")
        .about("Which requests are logged: all, refused (requests that did not get the app's answer), off."),
    Key::new("request_id_field", FIELD).about(
        "The field with the request's id for the log, if its value is valid as an id. Default: an id is \
         generated.",
    ),
    Key::new("diagnose", Value::Flag)
        .or("true")
        .about("Whether the log says the likely cause of a signature that does not verify."),
    Key::new("old_secret_warning", Value::Duration)
        .or("\"1h\"")
        .about("How often the log warns that an old secret still verifies events; \"0s\": never."),
];

/// `[forward]`
pub(super) const FORWARD: &[Key] = &[
    Key::new("x_forwarded", Value::FlagOr("overwrite")).or("false").about(
        "true appends to x-forwarded-for, -proto and -host: only the last entry of each is hookgate's. \
         overwrite replaces the client's values with hookgate's.",
    ),
    Key::new("verified_field", FIELD).about(
        "A field that says which scheme and secret verified the request. A client's field of this name is \
         removed. A request with a field of a similar name is refused. Default: none.",
    ),
    Key::new("via", Value::Flag).or("false").about("true adds a via field (RFC 9110, section 7.6.3)."),
    Key::new("client_certificate_field", FIELD).about(
        "A field with a name of the client's certificate. On routes with client_certificate, the field has the \
         name that the route requires. On other routes, the field has the first name of the certificate. A \
         client's field of this name is removed. Default: none.",
    ),
    Key::new("event_id_field", FIELD).about(
        "A field with the event's id, on routes that store events. The id is the same in every attempt. A \
         client's field of this name is removed. Default: none.",
    ),
    Key::new("assertion", Value::Table(ASSERTION)).about(
        "Signs the requests that hookgate forwards (RFC 9421), in the fields signature, signature-input and \
         content-digest. So an app knows that a request came through the gateway. Default: none.",
    ),
];

/// `[schemes.NAME]`
pub(super) const SCHEME: &[Key] = &[
    Key::new("algorithm", Value::Word(|| words(&Algorithm::ALL)))
        .or("\"hmac-sha256\"")
        .about("The algorithm of the signature."),
    Key::new("header", Value::Either(&[FIELD, Value::List { of: &FIELD, empty: false }]))
        .about("The field with the signature, or a list of fields. A valid signature in one of them is enough."),
    Key::new("parameter", Value::Text("^[A-Za-z0-9_.-]+$"))
        .about("The parameter of the query with the signature, instead of a field."),
    Key::new("named_fields", Value::Table(NAMED_FIELDS))
        .about("The signed fields that the signature field names, as {names} and {values} of content."),
    Key::new("aliases", Value::Named { name: "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$", value: &FIELD }).about(
        "Other names of the scheme's fields: a request has a field under one of its names. Under two: 401, \
         signature_duplicate.",
    ),
    Key::new("marked_by", FIELD).about(
        "A field that the scheme's requests have, if a route has several signatures and another one has the same \
         signature field.",
    ),
    Key::new("format", Value::Word(|| words(&FORMATS)))
        .or("\"plain\"")
        .about("plain: the signature alone; pairs: t=1700000000,v1=ab; tagged: v1,ab v1,cd; list: ab,cd; basic: Basic and the base64 of the secret user:password; jwt: a JWT with the content's digest."),
    Key::new("prefix", Value::Text("")).about("The text before a plain signature, such as sha256=."),
    Key::new("lifetime", Value::Duration).about(
        "How long the sender's JWTs are valid. With this key, a JWT must say when it expires. JWTs that the gateway signs expire after this time.",
    ),
    Key::new("separator", Value::Word(|| words(&Separator::ALL))).about(
        "The separator between the entries of a list. Default: a comma for pairs, a space for tagged.",
    ),
    Key::new("tag", Value::Either(&[TAG, Value::List { of: &TAG, empty: false }])).about(
        "The name of the entries of a list that are signatures, or a list of names. A * stands for a number. \
         One valid signature is enough.",
    ),
    Key::new("after_name", Value::Word(|| words(&AFTER_NAME))).about(
        "The character after the name of an entry. Default: an equals sign for pairs, a comma for tagged.",
    ),
    Key::new("set_separator", Value::Word(|| words(&Separator::ALL))).about(
        "The separator between several lists in the field, as in t=1,v1=ab t=1,v1=cd. A signature counts only \
         with the time of its own list.",
    ),
    Key::new("encoding", Value::Word(|| words(&Encoding::ALL)))
        .or("\"hex\"")
        .about("The encoding of the signature."),
    Key::new("secret_encoding", Value::Word(|| words(&SecretEncoding::ALL)))
        .or("\"utf8\"")
        .about("The encoding of the key's bytes in a secret's text. A secret may set its own encoding."),
    Key::new("content", Value::Text("\\{(body|form|digest:[^}]+|sha256:[^}]+|jwt:[^}]+)\\}")).or("\"{body}\"").about(
        "The signed text: a template of {body}, {timestamp}, {id}, {method}, {path}, {query}, {url} and \
         {header:x}. Instead of {body}: {form} if a form is signed, {digest:name} if the query has a signed digest, {sha256:hex} if the digest is a part of the signed text, {jwt:name} if a JWT has the digest.",
    ),
    Key::new("timestamp", Value::TableWithOne { keys: TIMESTAMP, of: &["header", "key", "entry", "claim", "pointer"] })
        .about("The place of the signed time."),
    Key::new("tolerance", TOLERATED).about("How far the signed time may be from now. Default: 5m in the past and 5m in the future."),
    Key::new("id", FIELD).about("The field with the event's identifier, if it is signed."),
    Key::new("model_pointers", POINTERS)
        .about("JSON pointers (RFC 6901) to the model of an event. If several of them have a value, the values must be \
             equal."),
    Key::new("integration_pointers", POINTERS)
        .about("JSON pointers (RFC 6901) to the integration that an event belongs to."),
    Key::new("challenge", Value::Table(CHALLENGE)).about(
        "The sender's challenge: a request that it sends before its first event, and the required answer. \
         hookgate answers it if a signature has challenge = \"answer\".",
    ),
    Key::new("setup", Value::List { of: &Value::Table(SETUP), empty: true }).about(
        "The unsigned requests with which the sender sets a webhook up. challenge of a signature says who answers \
         them.",
    ),
    Key::new(
        "acknowledgment",
        Value::Either(&[Value::Status(&[200, 202, 204]), Value::Word(|| words(&EMPTY_ACKNOWLEDGMENTS))]),
    )
    .or("202")
    .about("The answer to a stored event that the sender takes. 200-empty: 200 without content."),
    Key::new("answer_use", Value::Word(|| words(&ANSWER_USES))).or("\"never\"").about(
        "Whether the sender uses the app's answer beyond the status code. always: its events cannot have \
         delivery = \"queue\"; sometimes: check warns of it.",
    ),
    Key::new("refusal", Value::Word(|| words(&REFUSALS))).or("\"problem\"").about(
        "The content of the answer to a refused signature. problem: problem details (RFC 9457). empty: nothing, for \
         a sender that checks the answers to wrong signatures.",
    ),
];

/// A scheme's `challenge`.
pub(super) const CHALLENGE: &[Key] = &[
    Key::new("when", Value::Named { name: "", value: &TEXT_OR_NUMBER })
        .about("Values that distinguish a challenge from an event: by JSON pointer in the content, or by name in the query."),
    Key::new("absent", POINTERS)
        .about("JSON pointers to values that only events have. A challenge has no value there."),
    Key::new("value", Value::Text("^/")).about("The JSON pointer to the value in the content. The answer repeats this value."),
    Key::new("query", Value::Text("."))
        .about("The parameter in the query of an unsigned GET. The answer repeats its value."),
    Key::new("token", Value::Text("."))
        .about("The parameter of the query that must be equal to verify_token."),
    Key::new("answer", Value::Either(&[Value::Text(""), Value::Named { name: "", value: &TEXT_OR_NUMBER }]))
        .required()
        .about("The answer: {value}, {hmac} (the HMAC of the value), or another text. A table makes a JSON object."),
    Key::new("status", Value::Status(&CHALLENGE_STATUSES))
        .or("200")
        .about("The status code of the answer. 204: the answer has no content."),
];

/// An element of a scheme's `setup`.
pub(super) const SETUP: &[Key] = &[
    Key::new("method", Value::Word(|| words(&SETUP_METHODS))).or("\"POST\"").about("The request's method."),
    Key::new("header", FIELD).about("A field that the request has."),
    Key::new("when", Value::Named { name: "", value: &Value::Text("") })
        .about("Members of the content and their texts: /name in a JSON object, name in a form."),
    Key::new("has", Value::List { of: &Value::Text("."), empty: true }).about(
        "Members of the content with any text. The content has no other members than those of when and has.",
    ),
    Key::new("status", Value::Status(&CHALLENGE_STATUSES))
        .about("The status code of hookgate's answer. Without it, only the app can answer."),
    Key::new("answer_headers", Value::Named { name: "", value: &Value::Text("") })
        .about("Fields of the answer. {value} is the value of the request's header."),
];

const TEXT_OR_NUMBER: Value = Value::Either(&[Value::Text(""), Value::Count { least: 0, most: usize::MAX }]);

const TAG: Value = Value::Text("^[!-~]+$");

/// A scheme's `named_fields`.
pub(super) const NAMED_FIELDS: &[Key] = &[
    Key::new("key", Value::Text(".")).required().about("The name of the list in the signature field."),
    Key::new("fields", Value::List { of: &FIELD, empty: false })
        .required()
        .about("The fields that the list may name. A request with another name is refused."),
    Key::new("any", FIELD).about(
        "The field whose value may have the character that joins the values. The body must then be a JSON object \
         or array.",
    ),
];

/// A scheme's `timestamp`.
pub(super) const TIMESTAMP: &[Key] = &[
    Key::new("header", FIELD).about("The field with the time."),
    Key::new("key", Value::Text(""))
        .about("The name of the time in the signature field, if this field is a list."),
    Key::new("entry", Value::Count { least: 1, most: 2 })
        .about("The number of the time among the entries of the signature field, if they have no names."),
    Key::new("claim", Value::Text("")).about("The name of the time in the JWT."),
    Key::new("pointer", POINTER).about("The JSON pointer to the time in the signed content."),
    Key::new("unit", Value::Word(|| words(&Unit::ALL)))
        .or("\"s\"")
        .about("Seconds, milliseconds, microseconds, or a date in the form of RFC 3339 or of HTTP."),
];

/// A scheme's `tolerance`, with separate values for past and future.
pub(super) const TOLERANCE: &[Key] = &[
    Key::new("past", Value::Duration).about("How far in the past the signed time may be."),
    Key::new("future", Value::Duration).about("How far in the future the signed time may be."),
];

/// `[signature]`, and a route's `signature`.
pub(super) const SIGNATURE: &[Key] = &[
    Key::new("scheme", Value::Known(|| PRESETS.iter().map(|scheme| &*scheme.name).collect()))
        .required()
        .about("The sender's scheme: a scheme that `hookgate schemes` lists, or a scheme of [schemes.NAME]."),
    Key::new(
        "secrets",
        Value::List {
            of: &Value::TableWithOne { keys: SECRET, of: &["env", "file", "value"] },
            empty: false,
        },
    )
    .required()
    .about(
        "The sender's secrets. Each of them may verify a request. So a secret can be replaced without losing \
             an event.",
    ),
    Key::new("tolerance", TOLERATED)
        .about("How far a signed time may be from now. Default: the tolerance of the scheme."),
    Key::new("challenge", Value::Word(|| words(&CHALLENGES))).or("\"forward\"").about(
        "Who answers the challenges that the sender sends before its first event. forward: the app, if they are \
         signed; unsigned requests are refused. answer: hookgate. forward-unsigned: the app, and it also gets \
         the sender's unsigned requests, which are not verified.",
    ),
    Key::new("verify_token", Value::TableWithOne { keys: VERIFY_TOKEN, of: &["env", "file", "value"] })
        .about("The token that some challenges carry instead of a signature."),
];

/// A signature's `verify_token`.
pub(super) const VERIFY_TOKEN: &[Key] =
    &[ENV, FILE, Key::new("value", Value::Text(".")).about("The token itself, for tests only.")];

/// An element of `secrets`.
pub(super) const SECRET: &[Key] = &[
    Key::new("name", LABELLED)
        .about("The secret's name in the log. Default: current for the first, then secret-2 and so on."),
    ENV,
    FILE,
    Key::new("value", Value::Text(".")).about("The secret itself, for tests only."),
    Key::new("encoding", Value::Word(|| words(&SecretEncoding::ALL)))
        .about("The encoding of the key's bytes in the text. Default: the encoding of the scheme."),
    Key::new("not_after", Value::Moment).about("The time from which the secret verifies nothing."),
];

/// `[[routes]]`
pub(super) const ROUTE: &[Key] = &[
    Key::new("path", Value::Text(PATH))
        .required()
        .about("The path, compared byte for byte as received: /exact, /any/{name}, /all/{*rest}."),
    Key::new("upstream", Value::Either(&[ORIGIN, Value::List { of: &ORIGIN, empty: false }]))
        .required()
        .about("The app: http://host:port or https://host without a path, or unix:/path. In a list, the first upstream to \
             which the gateway can connect gets the request."),
    Key::new("model", Value::Text("."))
        .about("The signed model of the events that the route accepts. Others: 403, model_mismatch."),
    Key::new("require", Value::Named { name: "^/", value: &Value::Text("") })
        .about("Further values that the signed JSON must have, by JSON pointer (RFC 6901). Others: 403, model_mismatch."),
    Key::new("integration", Value::Text(""))
        .about("The sender's integration whose events the route accepts. Others: 403, model_mismatch."),
    Key::new("signature", SIGNED).about("The scheme and secrets of this route, or a list: the first whose field a request has verifies it. Default: \
         [signature]."),
    Key::new("public_url", Value::Either(&[PUBLIC_URL, Value::List { of: &PUBLIC_URL, empty: false }])).about(
        "The origin that the sender sends to, or several such origins. Needed if the scheme signs the URL.",
    ),
    Key::new("methods", Value::List { of: &Value::Text("^[-!#$%&'*+.^_`|~0-9A-Z]+$"), empty: false })
        .or("[\"POST\"]")
        .about("The methods that the route accepts. Others: 405."),
    Key::new("max_body", Value::Size { least: 1, most: MOST_MEMORY })
        .about("The most bytes of a body. Default: max_body of [limits]."),
    CONNECT_TIMEOUT,
    RESPONSE_TIMEOUT,
    MAX_IDLE,
    IDLE_TIMEOUT,
    tls::CA,
    Key::new("console_content", Value::Word(|| words(&CONSOLE_CONTENTS))).or("\"asked\"").about(
        "Whether the console shows the content of the route's events: asked (when a person asks for it), never.",
    ),
    Key::new("capture", Value::Flag).or("false").about(
        "Whether refused requests of the route are kept in memory, with the first 64 KiB of their content, for the console and the API.",
    ),
    Key::new("allow", ALLOWED).about(
        "The clients that the route takes: addresses, networks, unix, or the names of sets of senders' networks \
         (hookgate schemes). Others: 403, client_not_allowed. Default: all clients.",
    ),
    tls::CLIENT_CERTIFICATE,
    Key::new("mode", Value::Word(|| words(&MODES))).or("\"enforce\"").about(
        "enforce: requests that do not verify are refused. observe: they are forwarded, and the reason is \
         logged as would_refuse.",
    ),
    queue::DELIVERY.or("\"direct\""),
    queue::ACK_STATUS,
    queue::ORDER_BY,
    queue::MAX_QUEUED,
    queue::DEDUPLICATE,
    queue::COPIES,
    queue::REFRESH_SIGNATURE.or("false"),
    queue::CONCURRENCY.or("16"),
    queue::RATE,
    queue::OWN_RETRY,
];

/// The tables, with their titles and keys. The reader uses them to name the table that a misplaced key
/// belongs to.
pub(super) const TABLES: [(&str, &[Key]); 32] = [
    ("the top level", ROOT),
    ("`[server]`", SERVER),
    ("`proxy_protocol`", PROXY_PROTOCOL),
    ("`client_address`", CLIENT_ADDRESS),
    ("`[tls]`", TLS),
    ("`[tls.acme]`", ACME),
    ("`external_account`", EXTERNAL_ACCOUNT),
    ("`key` of `external_account`", EXTERNAL_ACCOUNT_KEY),
    ("an element of `certificates`", KEY_PAIR),
    ("`[limits]`", LIMITS),
    ("`[upstream]`", UPSTREAM),
    ("`[admin]`", ADMIN),
    ("`[log]`", LOG),
    ("`[forward]`", FORWARD),
    ("`assertion` of `[forward]`", ASSERTION),
    ("`[queue]`", QUEUE),
    ("`[retry]`", RETRY),
    ("`[schemes.NAME]`", SCHEME),
    ("a scheme's `named_fields`", NAMED_FIELDS),
    ("a scheme's `timestamp`", TIMESTAMP),
    ("a scheme's `tolerance`", TOLERANCE),
    ("a scheme's `challenge`", CHALLENGE),
    ("an element of a scheme's `setup`", SETUP),
    ("`[[routes]]`", ROUTE),
    ("a route's `retry`", ROUTE_RETRY),
    ("`[signature]`", SIGNATURE),
    ("an element of `secrets`", SECRET),
    ("a route's `client_certificate`", CLIENT_NAMES),
    ("`verify_token`", VERIFY_TOKEN),
    ("an element of `tokens`", TOKEN),
    ("`tls` of `[admin]`", ADMIN_KEY_PAIR),
    ("`key` of `assertion`", ASSERTION_KEY),
];

/// An origin, which may have credentials.
const PUBLIC_URL: Value = Value::Text("^[Hh][Tt][Tt][Pp][Ss]?://[^/?#\\s]+/?$");

const SIGNED: Value =
    Value::Either(&[Value::Table(SIGNATURE), Value::List { of: &Value::Table(SIGNATURE), empty: false }]);
const TOLERATED: Value = Value::Either(&[Value::Duration, Value::Table(TOLERANCE)]);
const POINTER: Value = Value::Text("^/");

const POINTERS: Value = Value::List { of: &POINTER, empty: true };

/// A path with parameters. The other text is limited to the characters of a request's path (RFC 3986, section
/// 3.3).
const PATH: &str = "^(/(\\{\\*?[A-Za-z0-9_]+\\}|([A-Za-z0-9._~!$&'()+,;=:@-]|%[0-9A-Fa-f]{2})*))+$";

/// The name of a field (RFC 9110, section 5.1).
const FIELD: Value = Value::Text("^[-!#$%&'*+.^_`|~0-9A-Za-z]+$");

/// A name that is valid as a label, in a log line, and as a word of an HTTP field.
const LABEL: &str = "^[A-Za-z0-9_.-]+$";
const LABELLED: Value = Value::Text(LABEL);

/// The keys of a signature and its secrets whose values may be shown, because no secret belongs there. The
/// value of a new key is hidden until the key is listed here.
pub(super) const PUBLIC_IN_SIGNATURE: &[&str] = &[
    "scheme",
    "name",
    "env",
    "file",
    "encoding",
    "secret_encoding",
    "not_after",
    "tolerance",
    "past",
    "future",
    "challenge",
    "role",
    "algorithm",
    "key_id",
    "expires",
];

/// Whether a key is public in every table: no secret belongs there.
pub(super) fn is_public(key: &str) -> bool {
    let elsewhere = [
        SERVER,
        PROXY_PROTOCOL,
        CLIENT_ADDRESS,
        TLS,
        ACME,
        KEY_PAIR,
        CLIENT_NAMES,
        LIMITS,
        UPSTREAM,
        ADMIN,
        LOG,
        FORWARD,
        QUEUE,
        RETRY,
        SCHEME,
        NAMED_FIELDS,
        TIMESTAMP,
        TOLERANCE,
        ROUTE,
    ]
    .iter()
    .any(|keys| has(keys, key));
    PUBLIC_IN_SIGNATURE.contains(&key) || (elsewhere && !matches!(key, "signature" | "tokens" | "assertion"))
}

/// All keys. A key that several tables have occurs several times.
pub(super) fn all() -> impl Iterator<Item = &'static str> {
    TABLES.iter().flat_map(|(_, keys)| names(keys))
}
