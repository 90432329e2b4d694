//! Pure. The settings of `[tls.acme]`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use crate::signature::secret::Key;
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
    /// The account with the authority to which the account of ACME is bound, if the authority needs one.
    pub external_account: Option<ExternalAccount>,
}

/// An account with the authority outside of ACME (RFC 8555, section 7.3.4).
#[derive(Clone)]
pub struct ExternalAccount {
    /// The identifier of the key.
    pub key_id: String,
    /// The key of the MAC.
    pub key: Arc<Key>,
}

impl PartialEq for ExternalAccount {
    fn eq(&self, other: &Self) -> bool {
        self.key_id == other.key_id && bool::from(self.key.expose().ct_eq(other.key.expose()))
    }
}

impl Eq for ExternalAccount {}

/// Shows no key, and nothing that is derived from it.
impl fmt::Debug for ExternalAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key_id)
    }
}

/// Shows only the last name in the path of `storage`, because two programs may know the same folder by
/// different paths.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domains, contact, directory, connector, storage, external_account } = self;
        let storage = storage.file_name();
        write!(f, "{domains:?} {contact:?} {directory} {connector:?} {storage:?} {external_account:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_accounts_differ_by_their_key_and_show_only_its_identifier() {
        let account = |key_id: &str, key: &str| ExternalAccount {
            key_id: key_id.to_owned(),
            key: Arc::new(Key::new(key.as_bytes().to_vec())),
        };
        assert_eq!(account("a", "secret"), account("a", "secret"));
        assert_ne!(account("a", "secret"), account("a", "secreu"));
        assert_ne!(account("a", "secret"), account("b", "secret"));
        assert_eq!(format!("{:?}", account("a", "secret")), "a");
    }
}
