//! Pure. The command line arguments.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{ArgGroup, Args, Parser, Subcommand};

use super::bypass_probe::BypassProbe;
use super::events::args as events;
use super::init::values as init;
use crate::cli::sample_event::Forgery;
use crate::config::size_and_duration;
use crate::routing::router::Pattern;
use crate::signature::scheme::{PRESETS, Scheme};
use crate::signature::secret::SecretEncoding;
use crate::telemetry::recent::filter::{State, StatusRange};
use crate::upstream::origin::{Origin, OriginError};

/// A reverse proxy that verifies webhooks: only authentic events reach your app, byte for byte as they were
/// sent.
#[derive(Debug, Parser)]
#[command(name = "hookgate", version, after_help = EXAMPLES, max_term_width = 100)]
pub(super) struct Typed {
    /// The configuration file [default: HOOKGATE_CONFIG, or else ./gateway.toml, or else
    /// /etc/hookgate/gateway.toml]
    #[arg(long, short, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve (the default command)
    #[command(after_help = SIGNALS)]
    Run,
    /// Write a commented gateway.toml for a sender
    #[command(after_help = INIT_EXAMPLES)]
    Init(Init),
    /// Read the configuration and print its routes, or every problem in it. With --live, ask a running
    /// gateway whether it is ready
    #[command(after_help = CHECK_EXAMPLES)]
    Check(Check),
    /// Print the signature field(s) that a sender would add to a body
    #[command(after_help = SIGN_EXAMPLES)]
    Sign(Sign),
    /// Say whether a body and its signature verify, and if not, why
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(Verify),
    /// Send a signed event, or a forged event, through a running gateway
    #[command(after_help = SEND_EXAMPLES)]
    Send(Send),
    /// Say which secrets a running gateway still needs, and which are safe to remove
    #[command(after_help = SECRETS_EXAMPLES)]
    Secrets(Secrets),
    /// List, show, send again, discard and export the events that a running gateway stores; pause and resume
    /// routes
    #[command(after_help = events::EXAMPLES)]
    Events {
        #[command(subcommand)]
        verb: events::Verb,
    },
    /// Print a link to the pages of a running gateway: what comes in, what was refused, what waits, what
    /// failed
    #[command(after_help = CONSOLE_EXAMPLES)]
    Console(Console),
    /// Follow the requests and deliveries of a running gateway, one line each
    #[command(after_help = TAIL_EXAMPLES)]
    Tail(Tail),
    /// Find problems of a running gateway: its configuration, upstreams, secrets, clocks, and apps that are
    /// reachable without it
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(Doctor),
    /// Show how hookgate works: a sender, the gateway and an app in one process, with nothing to set up
    Demo(Demo),
    /// List the senders that hookgate knows, and how they sign
    Schemes {
        /// Explain only this scheme: what it signs, where its secret is, and what to write into gateway.toml
        name: Option<String>,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of gateway.toml, for editors
    #[command(after_help = SCHEMA_EXAMPLES)]
    Schema,
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub(super) struct Console {
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) gateway: events::Gateway,
}

#[derive(Debug, Args)]
pub(super) struct Init {
    /// The sender, by its name in `hookgate schemes`
    #[arg(value_name = "SENDER", default_value = "propify", value_parser = SenderParser, hide_possible_values = true)]
    pub(super) sender: String,
    /// The file to write, `-` for standard output [default: the file of --config or HOOKGATE_CONFIG, or else
    /// gateway.toml]
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// The app: http://HOST:PORT, https://HOST:PORT or unix:/PATH
    #[arg(long, value_name = "URL", value_parser = upstream, default_value = "http://127.0.0.1:3000")]
    pub(super) upstream: String,
    /// The path of the URL that the sender calls [default: /hooks/SENDER]
    #[arg(long, value_parser = route_path)]
    pub(super) path: Option<String>,
    /// The name under which senders reach this machine (repeatable). hookgate then obtains certificates
    /// itself (ACME)
    #[arg(long = "domain", value_name = "NAME", value_parser = init::domain)]
    pub(super) domains: Vec<String>,
    /// The mail address that the certificate authority may write to
    #[arg(long, value_name = "MAIL", requires = "domains", value_parser = init::contact)]
    pub(super) contact: Option<String>,
    /// Store events before they are acknowledged, and deliver them when the app is ready
    #[arg(long)]
    pub(super) queue: bool,
    /// The address of the admin listener, or `off`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901", value_parser = init::admin)]
    pub(super) admin: init::AdminOption,
    /// Replace a file that is there
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration file, `-` for standard input; default: the file of --config
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Fail on warnings, too
    #[arg(long)]
    pub(super) strict: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    /// Fail if this user may not read a file of the configuration. Root may read every file, and the
    /// service's user may not
    #[arg(long, value_name = "NAME", conflicts_with = "live")]
    pub(super) user: Option<String>,
    /// Ask the running gateway's admin listener whether the gateway is ready. Only `[admin]` of the
    /// configuration is read
    #[arg(long, conflicts_with = "strict", help_heading = LIVE)]
    pub(super) live: bool,
    /// The admin listener, also as https://HOST:PORT or unix:/PATH; default: the first address of `[admin]`
    /// in the configuration
    #[arg(long, value_name = "http://HOST:PORT", value_parser = Origin::parse, requires = "live", help_heading = LIVE)]
    pub(super) admin: Option<Origin>,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "2s", requires = "live", help_heading = LIVE)]
    pub(super) timeout: Duration,
}

#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// A URL at which the app itself may be reachable (repeatable); an unsigned POST is sent there
    #[arg(long, value_name = "URL", value_parser = BypassProbe::parse)]
    pub(super) bypass: Vec<BypassProbe>,
    /// The gateway's admin listener, also as https://HOST:PORT or unix:/PATH; default: the first address of
    /// `[admin]` in the configuration
    #[arg(long, value_name = "http://HOST:PORT", value_parser = Origin::parse)]
    pub(super) admin: Option<Origin>,
    /// How long to wait for each answer
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "5s")]
    pub(super) timeout: Duration,
    /// Fail on warnings, too
    #[arg(long)]
    pub(super) strict: bool,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Sign {
    /// The body to sign; `-` or nothing is standard input
    #[arg(value_name = "BODY-FILE")]
    pub(super) body: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) whose: Whose,
    /// Sign with the secret of this name, and not with the route's first secret
    #[arg(long, value_name = "NAME", conflicts_with = "scheme", help_heading = WHOSE)]
    pub(super) secret: Option<String>,
    /// The sender's private key (PEM, hexadecimal or base64), for a scheme whose secret is the public key
    #[arg(long, value_name = "FILE", help_heading = WHOSE)]
    pub(super) private_key_file: Option<PathBuf>,
    /// A field that comes with the body (repeatable). Some schemes sign fields
    #[arg(long = "field", value_name = "NAME: VALUE", value_parser = FieldLine::parse, help_heading = BESIDES)]
    pub(super) fields: Vec<FieldLine>,
    #[command(flatten)]
    pub(super) besides: Besides,
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The body that was signed; `-` or nothing is standard input
    #[arg(value_name = "BODY-FILE")]
    pub(super) body: Option<PathBuf>,
    /// The value of the signature field
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true, required_unless_present = "fields")]
    pub(super) signature: Option<String>,
    /// A field that came with the body (repeatable)
    #[arg(long = "field", value_name = "NAME: VALUE", value_parser = FieldLine::parse)]
    pub(super) fields: Vec<FieldLine>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) whose: Whose,
    #[command(flatten)]
    pub(super) besides: Besides,
}

#[derive(Debug, Args)]
pub(super) struct Send {
    /// The path as the sender would use it, for example /webhook/leases
    #[arg(value_name = "ROUTE-PATH")]
    pub(super) target: String,
    /// The body to send, `-` for standard input; default: a sample event of the route's scheme and model
    #[arg(long, value_name = "FILE")]
    pub(super) body: Option<PathBuf>,
    /// Send a forged event, which must be refused
    #[arg(long, value_name = "MODE")]
    pub(super) forge: Option<Forgery>,
    /// The gateway, with http:// or https://; default: the first address of `[server] listen`
    #[arg(long, value_name = "http://HOST:PORT", value_parser = Origin::parse)]
    pub(super) url: Option<Origin>,
    /// The certificate authorities (PEM) that an https:// gateway is verified against, `-` for standard
    /// input; default: those that the system trusts
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) ca: Option<PathBuf>,
    /// The method to send with
    #[arg(long, default_value = "POST")]
    pub(super) method: http::Method,
    /// A field to add (repeatable)
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = FieldLine::parse)]
    pub(super) fields: Vec<FieldLine>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) whose: Whose,
    /// Sign with the secret of this name, and not with the route's first secret
    #[arg(long, value_name = "NAME", conflicts_with = "scheme", help_heading = WHOSE)]
    pub(super) secret: Option<String>,
    /// The sender's private key (PEM, hexadecimal or base64), for a scheme whose secret is the public key
    #[arg(long, value_name = "FILE", help_heading = WHOSE)]
    pub(super) private_key_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) stamp: Stamp,
}

#[derive(Debug, Args)]
pub(super) struct Secrets {
    /// The gateway's admin listener, also as https://HOST:PORT or unix:/PATH; default: the first address of
    /// `[admin]` in the configuration
    #[arg(long, value_name = "http://HOST:PORT", value_parser = Origin::parse)]
    pub(super) admin: Option<Origin>,
    /// Print one JSON document
    #[arg(long)]
    pub(super) json: bool,
}

#[derive(Debug, Args)]
pub(super) struct Tail {
    /// Only refused requests
    #[arg(long, conflicts_with = "state")]
    pub(super) refused: bool,
    /// Only requests with this state, or deliveries
    #[arg(long, value_parser = PossibleValuesParser::new(State::ALL.map(|(name, _)| name)))]
    pub(super) state: Option<String>,
    /// Only requests and deliveries of the route with this path, as configured
    #[arg(long, value_name = "PATH")]
    pub(super) route: Option<String>,
    /// Only refusals with this reason, or deliveries with this outcome
    #[arg(long)]
    pub(super) reason: Option<String>,
    /// Only answers with this status code, or of this class
    #[arg(long, value_name = "404|4xx", value_parser = status_range)]
    pub(super) status: Option<String>,
    /// Only requests whose path contains this text
    #[arg(long, value_name = "TEXT")]
    pub(super) path: Option<String>,
    /// Begin with this many requests of the past
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(super) since: u16,
    /// Print one JSON document on each line
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) gateway: events::Gateway,
}

/// A status code or a class of them, as the gateway reads it.
fn status_range(text: &str) -> Result<String, String> {
    StatusRange::parse(text).map(|_| text.to_owned()).ok_or_else(|| "write 404, or 4xx".to_owned())
}

#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Show both events and exit
    #[arg(long)]
    pub(super) once: bool,
}

/// The options for the signature: its scheme and its secret.
#[derive(Debug, Args)]
#[command(next_help_heading = WHOSE)]
#[group(id = "whose", multiple = true)]
#[command(group = ArgGroup::new("text").args(["secret_env", "secret_file"]))]
pub(super) struct Whose {
    /// The scheme and secrets of this route of the configuration
    #[arg(long, value_name = "PATH", conflicts_with = "scheme")]
    pub(super) route: Option<String>,
    /// This scheme. No configuration is read
    #[arg(long, value_name = "NAME", requires = "text", value_parser = scheme_parser())]
    pub(super) scheme: Option<&'static Scheme>,
    /// The environment variable with the secret
    #[arg(long, value_name = "NAME", requires = "scheme")]
    pub(super) secret_env: Option<String>,
    /// The file with the secret; `-` is standard input
    #[arg(long, value_name = "FILE", requires = "scheme")]
    pub(super) secret_file: Option<PathBuf>,
    /// How the secret's text encodes its bytes [default: the scheme's encoding]
    #[arg(long, value_name = "ENCODING", requires = "scheme", value_parser = encoding_parser())]
    pub(super) secret_encoding: Option<SecretEncoding>,
}

/// The options for the parts that some schemes sign besides the body.
#[derive(Debug, Args)]
#[command(next_help_heading = BESIDES)]
pub(super) struct Besides {
    #[command(flatten)]
    pub(super) stamp: Stamp,
    /// The URL of the request. If it begins with a slash, its origin is the `public_url` of the route
    #[arg(long)]
    pub(super) url: Option<String>,
    /// The method of the request
    #[arg(long)]
    pub(super) method: Option<http::Method>,
}

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = BESIDES)]
pub(super) struct Stamp {
    /// The time of signing
    #[arg(long)]
    pub(super) timestamp: Option<String>,
    /// The event's identifier
    #[arg(long)]
    pub(super) id: Option<String>,
}

/// Where the scheme and the secret come from.
#[derive(Clone, Debug)]
pub(super) enum Origins<'a> {
    /// From a route of the configuration. Without a route, from the only signature of the configuration.
    Config { route: Option<&'a str> },
    /// From the command line.
    Flags { scheme: &'static Scheme, secret: SecretPlace<'a>, encoding: SecretEncoding },
}

/// The place of a secret's text.
#[derive(Clone, Copy, Debug)]
pub(super) enum SecretPlace<'a> {
    Env(&'a str),
    File(&'a PathBuf),
}

impl Whose {
    /// Combines the options.
    pub(super) fn means(&self) -> Origins<'_> {
        let env = self.secret_env.as_deref().map(SecretPlace::Env);
        let place = env.or(self.secret_file.as_ref().map(SecretPlace::File));
        match (self.scheme, place) {
            (Some(scheme), Some(secret)) => {
                let encoding = self.secret_encoding.unwrap_or(scheme.secret_encoding);
                Origins::Flags { scheme, secret, encoding }
            }
            // The parser requires both options or neither.
            (Some(_), None) | (None, _) => Origins::Config { route: self.route.as_deref() },
        }
    }
}

/// A field line as it is given: `NAME: VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldLine {
    pub(super) name: http::HeaderName,
    pub(super) value: http::HeaderValue,
}

impl FieldLine {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once(':').ok_or("a field is written `NAME: VALUE`")?;
        let name = name.parse().map_err(|_why| format!("`{name}` is no field name"))?;
        let value = http::HeaderValue::from_str(value.trim_matches([' ', '\t']))
            .map_err(|_why| "a field value has no control characters".to_owned())?;
        Ok(Self { name, value })
    }
}

/// Parses a duration as in gateway.toml. It must be longer than zero.
fn time(text: &str) -> Result<Duration, String> {
    match size_and_duration::parse_duration(text) {
        Ok(Duration::ZERO) => Err("the time must be more than zero".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(format!("{error}: {}", error.help())),
    }
}

/// Parses the name of a sender. Completions know the names, and errors suggest one.
#[derive(Clone)]
struct SenderParser;

impl TypedValueParser for SenderParser {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        _argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        let error = |message: String| {
            clap::Error::raw(ErrorKind::InvalidValue, format!("{message}\n")).with_cmd(command)
        };
        init::sender(&value.to_string_lossy()).map_err(error)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names = PRESETS.iter().map(|scheme| PossibleValue::new(scheme.name.as_ref()));
        Some(Box::new(names))
    }
}

fn upstream(text: &str) -> Result<String, OriginError> {
    Origin::parse(text).map(|_origin| text.to_owned())
}

fn route_path(text: &str) -> Result<String, String> {
    Pattern::parse(text).map(|_pattern| text.to_owned()).map_err(|error| error.fault.to_string())
}

fn scheme_parser() -> impl TypedValueParser<Value = &'static Scheme> {
    let names = PossibleValuesParser::new(PRESETS.iter().map(|scheme| scheme.name.as_ref()));
    names.try_map(|name| Scheme::preset(&name).ok_or("there is no such scheme"))
}

fn encoding_parser() -> impl TypedValueParser<Value = SecretEncoding> {
    let names = PossibleValuesParser::new(SecretEncoding::ALL.map(|(name, _)| name));
    names.try_map(|typed| {
        let found = SecretEncoding::ALL.into_iter().find(|(name, _)| *name == typed);
        found.map(|(_, encoding)| encoding).ok_or("there is no such encoding")
    })
}

const LIVE: &str = "A running gateway";
const WHOSE: &str = "Scheme and secret";
const BESIDES: &str = "What some schemes sign besides the body";

const EXAMPLES: &str = "\
Examples:
  hookgate demo --once                        see it work, with nothing to set up
  hookgate check --strict                     before a deployment
  hookgate                                    serve what gateway.toml says
  hookgate send /webhook/leases               a signed event through the running gateway
  hookgate send /webhook/leases --forge tampered

Exit codes:
  0   done
  1   the command failed: a signature does not verify, an address cannot be listened on, an event was not delivered
  2   wrong usage
  78  the configuration is wrong";

const SIGNALS: &str = "\
Signals:
  TERM, INT   stop accepting, finish the requests under way within `shutdown_grace`, exit 0;
              a second one ends it at once, with 143 or 130 (128 and the signal's number)
  HUP         read the configuration and the secrets again, and put them in force if they are good;
              when the terminal that hookgate was started in is closed, end as at TERM (unless it was
              started with nohup)";

const CHECK_EXAMPLES: &str = "\
Examples:
  hookgate check --strict
  hookgate check --user hookgate              as root: may the service's user read the secrets?
  hookgate check --live                       for the HEALTHCHECK of a container
  hookgate check --live --admin http://127.0.0.1:9901 --timeout 1s";

const INIT_EXAMPLES: &str = "\
Examples:
  hookgate init github
  hookgate init stripe --upstream http://127.0.0.1:4000 --queue
  hookgate init github --domain hooks.example.com --contact ops@example.com
  hookgate init slack -                       print the file";

const SIGN_EXAMPLES: &str = "\
Examples:
  export KEY=propify_test_secret
  printf '{\"meta\":{\"object\":\"leases\"}}' | hookgate sign --scheme propify --secret-env KEY
  printf '{\"meta\":{\"object\":\"leases\"}}' | hookgate sign --scheme github --secret-env KEY --json";

const VERIFY_EXAMPLES: &str = "\
Examples:
  export KEY=propify_test_secret
  printf '' | hookgate verify --scheme propify --secret-env KEY \\
    --signature 3b6f911f5873cd7e2a4ed25f1db12b93a8141a99a9ec0eecbb88f5218d03c53d";

const SEND_EXAMPLES: &str = "\
Examples (with a gateway.toml, and `hookgate` running beside):
  hookgate send /webhook/leases
  hookgate send /webhook/leases --forge wrong-secret
  hookgate send /hooks/stripe --forge expired
  hookgate send /hooks/github --url https://hooks.example.com      through the public address
  printf '{}' | hookgate send /webhook/leases --body -";

const SECRETS_EXAMPLES: &str = "\
Examples (beside a running gateway with an [admin] listener):
  hookgate secrets
  hookgate secrets --admin http://127.0.0.1:9901 --json";

const CONSOLE_EXAMPLES: &str = "\
Examples (beside a running gateway with `console = true` in [admin]):
  hookgate console
  hookgate console --admin https://gateway.example.com:9901 --token-file /run/secrets/hookgate-admin";
const TAIL_EXAMPLES: &str = "\
A gateway keeps the last requests if it has [admin] (`recent`). If the gateway restarts, the command waits for it and goes on.
Ctrl-C ends the command.

Examples:
  hookgate tail
  hookgate tail --refused --since 100
  hookgate tail --route /webhook/leases --status 5xx
  hookgate tail --json | jq 'select(.reason == \"signature_mismatch\")'";

const DOCTOR_EXAMPLES: &str = "\
Examples (beside a running gateway with an [admin] listener):
  hookgate doctor
  hookgate doctor --bypass http://203.0.113.7:3000/webhook/leases
  hookgate doctor --strict --json

Exit codes:
  0   no problem, though there may be warnings
  1   a problem, or with --strict a warning
  78  the configuration is wrong";

const SCHEMA_EXAMPLES: &str = "\
Examples:
  hookgate schema > gateway.schema.json
  sed -i '1i #:schema ./gateway.schema.json' gateway.toml      an editor that knows TOML then completes it";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  hookgate completions bash > ~/.local/share/bash-completion/completions/hookgate
  hookgate completions zsh > ~/.zfunc/_hookgate
  hookgate completions fish > ~/.config/fish/completions/hookgate.fish";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn typed(line: &str) -> Result<Typed, clap::Error> {
        Typed::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definitions_fit_together() {
        Typed::command().debug_assert();
    }

    #[test]
    fn run_is_the_default_command_and_config_is_accepted_anywhere() {
        assert!(typed("hookgate").unwrap().command.is_none());
        for line in ["hookgate --config a.toml run", "hookgate run --config a.toml", "hookgate -c a.toml"] {
            assert_eq!(typed(line).unwrap().config, Some(PathBuf::from("a.toml")), "{line}");
        }
        assert_eq!(typed("hookgate check").unwrap().config, None);
    }

    #[test]
    fn scheme_and_secret_go_together_and_without_a_route() {
        for line in [
            "hookgate sign --scheme propify",
            "hookgate sign --secret-env A",
            "hookgate sign --scheme propify --secret-env A --secret-file b",
            "hookgate sign --scheme propify --secret-env A --route /a",
            "hookgate sign --scheme nonesuch --secret-env A",
            "hookgate sign --scheme propify --secret-env A --secret-encoding rot13",
            "hookgate verify body",
            "hookgate send",
            "hookgate send /a --forge nonesuch",
            "hookgate send /a --header nocolon",
            "hookgate send /a --url http://h/path",
            "hookgate init nonesuch",
            "hookgate init github --path hooks",
            "hookgate init github --upstream localhost",
            "hookgate init github --domain *.example.com",
            "hookgate init github --contact a@example.com",
            "hookgate init github --admin nowhere",
        ] {
            assert!(typed(line).is_err(), "{line}");
        }
        let line = typed("hookgate sign - --scheme propify --secret-file b --secret-encoding hex").unwrap();
        let Some(Command::Sign(sign)) = line.command else { panic!("{line:?}") };
        let Origins::Flags { scheme, encoding, .. } = sign.whose.means() else { panic!("{sign:?}") };
        assert_eq!((&*scheme.name, encoding), ("propify", SecretEncoding::Hex));
    }

    #[test]
    fn a_field_is_a_name_and_a_value() {
        let field = FieldLine::parse("X-Custom:  a: b\t").unwrap();
        assert_eq!((field.name.as_str(), field.value.as_bytes()), ("x-custom", &b"a: b"[..]));
        for bad in ["", "a", ": b", "a b: c", "a: b\nc: d"] {
            assert!(FieldLine::parse(bad).is_err(), "{bad:?}");
        }
    }
}
