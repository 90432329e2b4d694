//! Pure. The settings of `[tls.acme]`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::tls::client_config::Connector;

/// The directory of Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// The settings of `[tls.acme]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Settings {
    /// The names in lower case, at least one name. Each name gets a certificate of its own.
    pub domains: Vec<Arc<str>>,
    /// The URLs of contacts, such as `mailto:ops@example.com`.
    pub contact: Vec<String>,
    /// The URL of the authority's directory.
    pub directory: String,
    /// How the authority is reached.
    pub connector: Connector,
    /// The folder of the account and the certificates.
    pub storage: PathBuf,
}

/// Shows only the last name in the path of `storage`, because two programs may know the same folder by different paths.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domains, contact, directory, connector, storage } = self;
        write!(f, "{domains:?} {contact:?} {directory} {connector:?} {:?}", storage.file_name())
    }
}
