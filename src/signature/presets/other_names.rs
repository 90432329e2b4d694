//! Pure. Other names of senders, and the schemes that operators mean by them.

/// The shipped scheme that is meant by another name of its sender: `whatsapp`, `GitHub.com`, `lemonsqueezy`.
/// `None` for the name of a scheme itself. `schemes` are the names of all shipped schemes.
pub(super) fn meant(name: &str, schemes: impl Iterator<Item = &'static str> + Clone) -> Option<&'static str> {
    let whole = letters(name);
    let host = name.rsplit_once('.').map(|(host, _)| letters(host.rsplit('.').next().unwrap_or_default()));
    let of_word = |word: String| {
        let same = schemes.clone().find(|scheme| letters(scheme) == word);
        same.or_else(|| {
            OTHER_NAMES.iter().find(|(names, _)| names.contains(&&*word)).map(|(_, scheme)| *scheme)
        })
    };
    [Some(whole), host].into_iter().flatten().find_map(of_word).filter(|scheme| *scheme != name)
}

/// The letters and digits of a name, in lower case.
pub(super) fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Other names without signs between their words, and the scheme of each.
pub(super) const OTHER_NAMES: &[(&[&str], &str)] = &[
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
