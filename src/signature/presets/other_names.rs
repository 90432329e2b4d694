//! Pure. Other names of senders, and the schemes that operators mean by them.

use super::PRESETS;

/// The shipped scheme that is meant by another name of its sender: `whatsapp`, `GitHub.com`, `lemonsqueezy`. `None` for the name of a
/// scheme itself.
pub(super) fn meant(name: &str) -> Option<&'static str> {
    let whole = letters(name);
    let host = name.rsplit_once('.').map(|(host, _)| letters(host.rsplit('.').next().unwrap_or_default()));
    [Some(whole), host].into_iter().flatten().find_map(|word| of_word(&word)).filter(|scheme| *scheme != name)
}

fn of_word(word: &str) -> Option<&'static str> {
    let same = PRESETS.iter().find(|scheme| letters(&scheme.name) == word).map(|scheme| &*scheme.name);
    same.or_else(|| OTHER_NAMES.iter().find(|(names, _)| names.contains(&word)).map(|(_, scheme)| *scheme))
}

/// The letters and digits of a name, in lower case.
fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Other names without signs between their words, and the scheme of each.
const OTHER_NAMES: &[(&[&str], &str)] = &[
    (
        &[
            "facebook",
            "facebookmessenger",
            "messenger",
            "instagram",
            "whatsapp",
            "whatsappbusiness",
            "whatsappcloud",
            "threads",
            "fb",
        ],
        "meta",
    ),
    (&["githubenterprise", "githubapp", "githubapps", "ghe", "ghes", "gh"], "github"),
    (&["forgejo", "codeberg"], "gitea"),
    (&["bitbucketcloud", "bitbucketserver", "bitbucketdatacenter"], "bitbucket"),
    (&["twitter", "xcom"], "x"),
    (&["intuit"], "quickbooks"),
    (&["telegrambot", "telegrambots"], "telegram"),
    (&["linebot", "linemessaging", "linemessagingapi"], "line"),
    (&["mailchimptransactional"], "mandrill"),
    (&["teams", "msteams"], "microsoft-teams"),
    (&["hashicorp", "terraformcloud", "hcpterraform"], "terraform"),
    (&["sonarcloud", "sonar"], "sonarqube"),
    (&["claude"], "anthropic"),
    (&["chatgpt"], "openai"),
    (&["checkout"], "checkout-com"),
    (&["cal"], "cal-com"),
    (&["dodo"], "dodo-payments"),
    (&["slackevents", "slackevent", "slackcommands"], "slack"),
    (&["discordbot", "discordinteractions"], "discord"),
    (&["twiliosms", "twiliovoice"], "twilio"),
    (&["twiliosendgrid"], "sendgrid"),
    (&["squareup"], "square"),
    (&["woo"], "woocommerce"),
    (&["stripeconnect"], "stripe"),
    (&["paddlebilling"], "paddle"),
    (&["hubspotv3"], "hubspot"),
    (&["btcpayserver"], "btcpay"),
    (&["docusignconnect"], "docusign"),
    (&["twitcheventsub"], "twitch"),
    (&["ciscowebex"], "webex"),
    (&["standardwebhook"], "standard-webhooks"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::presets::Inexpressible;
    use crate::signature::scheme::Scheme;

    #[test]
    fn another_name_of_a_sender_means_its_scheme() {
        for (name, want) in [
            ("facebook", "meta"),
            ("WhatsApp", "meta"),
            ("whatsapp-business", "meta"),
            ("instagram", "meta"),
            ("twitter", "x"),
            ("X", "x"),
            ("GitHub", "github"),
            ("Git Hub", "github"),
            ("github.com", "github"),
            ("api.github.com", "github"),
            ("github-enterprise", "github"),
            ("forgejo", "gitea"),
            ("lemonsqueezy", "lemon-squeezy"),
            ("customer.io", "customer-io"),
            ("ms-teams", "microsoft-teams"),
            ("standard_webhooks", "standard-webhooks"),
        ] {
            assert_eq!(meant(name), Some(want), "{name}");
        }
        for name in ["github", "x", "nonesuch", "", "com", "..", "webhook"] {
            assert_eq!(meant(name), None, "{name}");
        }
    }

    #[test]
    fn each_other_name_leads_to_a_scheme_and_is_none() {
        for (names, scheme) in OTHER_NAMES {
            assert!(Scheme::preset(scheme).is_some(), "{scheme}");
            for name in *names {
                assert_eq!(letters(name), *name);
                assert!(Scheme::preset(name).is_none() && Inexpressible::named(name).is_none(), "{name}");
            }
        }
    }
}
