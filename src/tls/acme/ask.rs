//! Shell. One question to the authority: when does it want a certificate to be renewed (RFC 9773)?

use instant_acme::{Account, CertificateIdentifier, Error, Key};

use crate::tls::acme::failure::Failure;
use crate::tls::acme::http_client::Client;
use crate::tls::acme::order::of_authority;
use crate::tls::acme::renewal::Suggestion;
use crate::tls::acme::settings::Settings;

/// Asks the authority. `None` if the authority offers no renewal information.
///
/// # Errors
/// [`Failure`]
pub(super) async fn ask(
    settings: &Settings,
    certificate: &CertificateIdentifier<'_>,
) -> Result<Option<Suggestion>, Failure> {
    let client = Client::new(&settings.connector);
    let asked = suggestion(&client, settings, certificate).await;
    asked.map_err(|error| Failure { retry_after: client.retry_after(), ..of_authority(&error) })
}

async fn suggestion(
    client: &Client,
    settings: &Settings,
    certificate: &CertificateIdentifier<'_>,
) -> Result<Option<Suggestion>, Error> {
    // The question is not signed. So it needs no account, and the key of this account, which the authority
    // never sees, signs nothing.
    let (_key, key) = Key::generate_pkcs8()?;
    let builder = Account::builder_with_http(Box::new(client.clone()));
    let nobody = builder.from_parts(String::new(), key, settings.directory.clone()).await?;
    let (info, wait) = match nobody.renewal_info(certificate).await {
        Ok(answer) => answer,
        Err(Error::Unsupported(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    // A time before 1970 is long past.
    let [start, end] = [info.suggested_window.start, info.suggested_window.end]
        .map(|time| u64::try_from(time.unix_timestamp()).unwrap_or_default());
    Ok(Some(Suggestion { start, end, explanation: info.explanation_url, wait }))
}
