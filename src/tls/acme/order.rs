//! Shell. One order: the account, the challenge, the certificate (RFC 8555, section 7).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use instant_acme::{
    AuthorizationStatus, ChallengeType, Error, ExternalAccountKey, Identifier, NewAccount, NewOrder, Order,
    OrderStatus, Problem, RetryPolicy,
};
use tracing::debug;

use crate::tls::acme::challenge;
use crate::tls::acme::failure::{Failure, Kind};
use crate::tls::acme::http_client::{Client, ClientError};
use crate::tls::acme::issued::{Answering, Issued};
use crate::tls::acme::renewal;
use crate::tls::acme::settings::Settings;
use crate::tls::acme::storage::{Account, Storage};
use crate::tls::key_pair::KeyPair;

/// How often, and for how long, the gateway asks the authority whether the challenge is valid or the
/// certificate is ready.
const POLLS: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// What an order needs.
pub(crate) struct Ordering {
    pub(crate) settings: Arc<Settings>,
    pub(crate) storage: Storage,
    pub(crate) issued: Arc<Issued>,
    pub(crate) domain: Arc<str>,
}

impl Ordering {
    /// Obtains a certificate, and keeps it before it is used.
    ///
    /// # Errors
    /// [`Failure`]
    pub(crate) async fn obtain(self) -> Result<KeyPair, Failure> {
        // This check comes before the authority counts an order or makes an account.
        self.storage.reserve(&self.domain).map_err(|error| self.storage_failure(&error))?;
        let client = Client::new(&self.settings.connector);
        let with_wait = |failure: Failure| Failure { retry_after: client.retry_after(), ..failure };
        let account = self.account(&client).await.map_err(with_wait)?;
        match self.obtain_with(&account).await {
            // Authorities for tests forget their accounts.
            Err(Failure { kind: Kind::NoAccount, .. }) => {
                self.storage.forget_account().map_err(|error| self.storage_failure(&error))?;
                let account = self.account(&client).await.map_err(with_wait)?;
                self.obtain_with(&account).await
            }
            obtained => obtained,
        }
        .map_err(with_wait)
    }

    /// The account in the folder, or a new account.
    async fn account(&self, client: &Client) -> Result<instant_acme::Account, Failure> {
        let builder = || instant_acme::Account::builder_with_http(Box::new(client.clone()));
        let contact: Vec<&str> = self.settings.contact.iter().map(String::as_str).collect();
        let known = self.storage.account().map_err(|error| self.storage_failure(&error))?;
        if let Some(Account { contact: known, credentials }) = known {
            // The fields of credentials are private. A copy through JSON is the same.
            let again = serde_json::to_value(&credentials).and_then(serde_json::from_value);
            let account =
                builder().from_credentials(credentials).await.map_err(|error| of_authority(&error))?;
            if known != self.settings.contact {
                account.update_contacts(&contact).await.map_err(|error| of_authority(&error))?;
                let credentials = again.map_err(|error| Failure::new(Kind::Storage, error.to_string()))?;
                self.keep(&Account { contact: self.settings.contact.clone(), credentials })?;
            }
            return Ok(account);
        }
        let new =
            NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
        let external = self.settings.external_account.as_ref();
        let external =
            external.map(|account| ExternalAccountKey::new(account.key_id.clone(), account.key.expose()));
        let created = builder().create(&new, self.settings.directory.clone(), external.as_ref()).await;
        let (account, credentials) = created.map_err(|error| of_authority(&error))?;
        self.keep(&Account { contact: self.settings.contact.clone(), credentials })?;
        Ok(account)
    }

    fn keep(&self, account: &Account) -> Result<(), Failure> {
        self.storage.keep_account(account).map_err(|error| self.storage_failure(&error))
    }

    fn storage_failure(&self, error: &std::io::Error) -> Failure {
        storage_failure(&self.settings, error)
    }

    async fn obtain_with(&self, account: &instant_acme::Account) -> Result<KeyPair, Failure> {
        let mut order = self.new_order(account).await?;
        self.prove(&mut order).await?;
        let defect = |error: challenge::NotMade| Failure::new(Kind::Defect, error.to_string());
        let request = challenge::request(&self.domain).map_err(defect)?;
        order.finalize_csr(&request.request).await.map_err(|error| of_authority(&error))?;
        let chain = order.poll_certificate(&POLLS).await.map_err(|error| of_authority(&error))?;
        let pair = KeyPair::read(chain.as_bytes(), request.key.as_bytes());
        let pair = pair.map_err(|error| {
            Failure::new(
                Kind::Authority,
                format!("the authority sent a certificate that cannot be used: {error}"),
            )
        })?;
        if !pair.facts.covers(&self.domain) {
            return Err(Failure::new(Kind::Authority, "the authority sent a certificate for another name"));
        }
        if pair.facts.not_after <= SystemTime::now() {
            let what = "the authority sent a certificate that has expired, or this machine's clock is wrong";
            return Err(Failure::new(Kind::Authority, what));
        }
        let kept = self.storage.keep_certificate(&self.domain, &chain, &request.key);
        kept.map_err(|error| self.storage_failure(&error))?;
        Ok(pair)
    }

    /// Begins an order. It names the certificate in the folder, which the new certificate replaces (RFC 9773,
    /// section 5). If the authority does not take this, the order names none.
    async fn new_order(&self, account: &instant_acme::Account) -> Result<Order, Failure> {
        let identifiers = [Identifier::Dns(self.domain.to_string())];
        // The certificate that clients see may be from another authority, if `directory` was changed.
        let old = self.storage.certificate(&self.domain).ok().flatten();
        if let Some(old) = old.and_then(|old| renewal::identifier(old.chain().first()?)) {
            match account.new_order(&NewOrder::new(&identifiers).replaces(old)).await {
                Err(error) if is_about_replaces(&error) => {
                    debug!(name = %self.domain, %error, "the order cannot name the certificate that it replaces");
                }
                order => return order.map_err(|error| of_authority(&error)),
            }
        }
        account.new_order(&NewOrder::new(&identifiers)).await.map_err(|error| of_authority(&error))
    }

    /// Proves that the name leads to this gateway.
    async fn prove(&self, order: &mut Order) -> Result<(), Failure> {
        let mut answering: Vec<Answering> = Vec::new();
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(|error| of_authority(&error))?;
            match authorization.status {
                AuthorizationStatus::Pending => {}
                AuthorizationStatus::Valid => continue,
                status @ (AuthorizationStatus::Invalid
                | AuthorizationStatus::Revoked
                | AuthorizationStatus::Expired
                | AuthorizationStatus::Deactivated) => {
                    return Err(Failure::new(Kind::Authority, format!("the authorization is {status:?}")));
                }
            }
            let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
                return Err(Failure::new(
                    Kind::Name,
                    "the authority does not offer the challenge tls-alpn-01",
                ));
            };
            let digest = challenge.key_authorization().digest();
            let answer = challenge::answer(&self.domain, digest.as_ref())
                .map_err(|error| Failure::new(Kind::Defect, error.to_string()))?;
            // The answer is in place before the authority connects.
            answering.push(self.issued.answer(&self.domain, answer));
            challenge.set_ready().await.map_err(|error| of_authority(&error))?;
        }
        let polled = order.poll_ready(&POLLS).await;
        drop(answering);
        let failure = match polled {
            Ok(OrderStatus::Ready) => return Ok(()),
            Ok(status) => Failure::new(Kind::Authority, format!("the order is {status:?}")),
            Err(error) => of_authority(&error),
        };
        Err(of_challenge(order).await.unwrap_or(failure))
    }
}

/// The authority's error about a failed challenge.
async fn of_challenge(order: &mut Order) -> Option<Failure> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.ok()?;
        let state = authorization.refresh().await.ok()?;
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return Some(of_problem(problem));
        }
    }
    None
}

/// The folder cannot be read or written.
pub(crate) fn storage_failure(settings: &Settings, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Storage, format!("{} cannot be used: {error}", settings.storage.display()))
}

/// Whether an order that names the certificate it replaces may have failed because it names it.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum of instant-acme grows")]
fn is_about_replaces(error: &Error) -> bool {
    match error {
        // The authority offers no renewal information.
        Error::Unsupported(_) => true,
        // `alreadyReplaced` is among these. An order after a limit of the authority would count again.
        Error::Api(problem) => matches!(of_problem(problem).kind, Kind::Authority | Kind::OtherServer),
        // The order that the authority has made names no certificate, or another one.
        Error::Other(other) => !other.is::<ClientError>(),
        _ => false,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum of instant-acme grows, and its own words are good enough"
)]
pub(super) fn of_authority(error: &Error) -> Failure {
    match error {
        Error::Api(problem) => {
            let failure = of_problem(problem);
            match failure.kind {
                // Outside a challenge, the account is not authorized.
                Kind::OtherServer => Failure { kind: Kind::Authority, ..failure },
                _ => failure,
            }
        }
        Error::Other(other) => match other.downcast_ref::<ClientError>() {
            Some(error) => Failure::new(kind_of(error), error.to_string()),
            None => Failure::new(Kind::Authority, other.to_string()),
        },
        Error::Timeout(_) => {
            Failure::new(Kind::TimedOut, "the authority has not completed the order in time")
        }
        Error::Crypto | Error::KeyRejected => {
            Failure::new(Kind::Storage, "the key of the account cannot be used")
        }
        other => {
            Failure::new(Kind::NotAcme, format!("the answer of the authority is not understood: {other}"))
        }
    }
}

/// The kind of the failure of an exchange without an answer.
fn kind_of(error: &ClientError) -> Kind {
    match error {
        ClientError::Url(_) | ClientError::TooLong(_) => Kind::NotAcme,
        // The authority can be reached, and cannot answer now.
        ClientError::Status(_, 500..) => Kind::TimedOut,
        ClientError::Status(..) => Kind::NotAcme,
        ClientError::Unreachable { .. } | ClientError::TimedOut(_) | ClientError::Broken(..) => {
            Kind::Unreachable
        }
    }
}

/// A problem in the authority's words.
fn of_problem(problem: &Problem) -> Failure {
    let text = problem.to_string();
    Failure::of_problem(problem.r#type.as_deref(), text.strip_prefix("API error: ").unwrap_or(&text))
}
