//! Pure. Certificates from an authority that speaks ACME (RFC 8555), proved by TLS-ALPN-01 (RFC 8737).
//!
//! A thread of its own ([`thread`]) orders a certificate for each name (`order`), keeps the certificate in a
//! folder ([`storage`]), and puts it into [`issued::Issued`]. The acceptor of each generation shows the
//! certificates of [`issued::Issued`]. [`schedule`] decides when the thread orders, and [`renewal`] what it
//! makes of the time that the authority suggests (RFC 9773).

pub(crate) mod ask;
pub mod challenge;
pub mod failure;
pub(crate) mod http_client;
pub mod issued;
pub(crate) mod order;
pub mod renewal;
pub mod schedule;
pub mod settings;
pub mod storage;
pub mod thread;
