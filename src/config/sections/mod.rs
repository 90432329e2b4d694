//! Pure. The tables of gateway.toml. Each table has its own file.

pub(super) mod acme;
pub(super) mod admin;
pub(super) mod assertion;
pub(super) mod challenge;
pub(super) mod client_address;
pub(super) mod client_certificate;
mod connection_fields;
pub(super) mod delivery;
pub(super) mod forward;
pub(super) mod limits;
pub(super) mod log;
pub(super) mod networks;
pub(super) mod pem_file;
mod postgres_url;
pub(super) mod proxy_protocol;
pub(super) mod queue;
pub(super) mod retry;
pub(super) mod route_draft;
pub(super) mod routes;
pub(super) mod schemes;
pub(super) mod secret;
pub(super) mod server;
pub(super) mod setup;
pub(super) mod signature;
pub(super) mod tls;
pub(super) mod tokens;
pub(super) mod upstream;
