//! Pure. Reads `tokens` of `[admin]`: the keys of the clients that may read or manage events.

use std::ops::Range;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use crate::config::choices::ROLES;
use crate::config::problem::Problem;
use crate::config::sections::secret::{self, Context};
use crate::config::sections::secret_purpose::Purpose;
use crate::config::toml_table::Table;
use crate::config::toml_value::Item;
use crate::config::{Role, Token, keys};
use crate::signature::secret::{Key, SecretEncoding};

/// Reads the tokens. The list is incomplete if there are errors.
pub(crate) fn read(admin: &Table<'_>, context: Context<'_>) -> Arc<[Token]> {
    let Some(item) = admin.get("tokens") else { return Arc::default() };
    let Some(array) = item.array(&item.write(EXAMPLE)) else { return Arc::default() };
    let mut all: Vec<Read> = Vec::new();
    for element in item.elements(array) {
        let Some(read) = Read::from(&element, context) else { continue };
        if let Some(problem) = all.iter().find_map(|earlier| read.repeats(earlier)) {
            problem.report(item.problems);
        }
        all.push(read);
    }
    all.into_iter().map(|read| Token::new(read.name, read.role, read.key)).collect()
}

/// A token and its place in the file.
struct Read {
    name: Arc<str>,
    role: Role,
    key: Key,
    span: Range<usize>,
}

impl Read {
    fn from(item: &Item<'_>, context: Context<'_>) -> Option<Self> {
        let table = Table::of(item, "a token", &item.write(EXAMPLE), keys::TOKEN)?;
        let name = table.required("name", "\"ops\"").and_then(|item| name(&item));
        let role = table.choice("role", &ROLES, Role::default());
        let key = secret::key_of(&table, Purpose::AdminToken, SecretEncoding::Utf8, context)?;
        // A client sends the token in a field value, and white space ends the token there.
        if !key.expose().iter().all(u8::is_ascii_graphic) {
            item.error("bad_token", "a token is made of visible ASCII characters, and this one is not")
                .help("set another: openssl rand -hex 32")
                .report(item.problems);
        }
        Some(Self { name: name?, role, key, span: item.span.clone() })
    }

    /// The problem of a token that has the same name or key as an earlier token.
    fn repeats(&self, earlier: &Self) -> Option<Problem> {
        let problem = |code, message| {
            Problem::error(code, self.span.clone(), message)
                .related(earlier.span.clone(), "the first of them")
        };
        if self.name == earlier.name {
            let message = format!("two tokens are called `{}`", self.name);
            Some(
                problem("duplicate_name", message)
                    .help("give each token its own `name`: the log shows by this name who acted"),
            )
        } else if bool::from(self.key.expose().ct_eq(earlier.key.expose())) {
            let message = format!("the tokens `{}` and `{}` are the same", earlier.name, self.name);
            Some(
                problem("duplicate_secret", message)
                    .help("set another for one of them: openssl rand -hex 32"),
            )
        } else {
            None
        }
    }
}

fn name(item: &Item<'_>) -> Option<Arc<str>> {
    let text = item.text("\"ops\"")?;
    let letters = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if text.is_empty() || !letters {
        return item
            .error("bad_name", "a token's name is made of letters, digits, `_`, `.` and `-`")
            .help("for example `name = \"ops\"`")
            .refuse(item.problems);
    }
    Some(text.into())
}

const EXAMPLE: &str = "[{ name = \"ops\", file = \"/run/secrets/hookgate-admin\", role = \"operate\" }]";

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::SystemTime;

    use crate::config::environment::Fixed;
    use crate::config::{Role, read, reader};

    const TEXT: &str = "[admin]\ntokens = [{ name = \"ops\", env = \"OPS\", role = \"operate\" }, \
                        { name = \"eyes\", env = \"EYES\" }]\n\
                        [[routes]]\npath = \"/\"\nupstream = \"http://127.0.0.1:3000\"\n\
                        signature = { scheme = \"propify\", secrets = [{ env = \"KEY\" }] }\n";

    #[test]
    fn a_token_is_recognised_by_its_whole_text_and_never_printed() {
        let environment = Fixed::new(NonZeroUsize::MIN)
            .with_variable("KEY", "0123456789abcdef0123456789abcdef")
            .with_variable("OPS", "hunter2-hunter2-hunter2")
            .with_variable("EYES", "0123456789abcdef");
        let config = read("gateway.toml", TEXT, &environment, SystemTime::UNIX_EPOCH).unwrap().config;
        assert!(!format!("{config:?}").contains("hunter2"));
        let tokens = config.admin.unwrap().tokens;
        let roles: Vec<_> = tokens.iter().map(|token| (&*token.name, token.role)).collect();
        assert_eq!(roles, [("ops", Role::Operate), ("eyes", Role::Read)]);
        for (presented, want) in [
            ("hunter2-hunter2-hunter2", true),
            ("hunter2-hunter2-hunter", false),
            ("hunter2-hunter2-hunter2\n", false),
            ("", false),
        ] {
            assert_eq!(tokens.first().unwrap().is(presented.as_bytes()), want, "{presented}");
        }
    }

    #[test]
    fn a_command_that_asks_the_gateway_needs_no_token_of_the_file() {
        let admin = reader::read_admin("gateway.toml", TEXT).unwrap().unwrap();
        assert_eq!(admin.listen.len(), 1);
    }
}
