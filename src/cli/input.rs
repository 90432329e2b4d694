//! Shell. Reads the inputs of the commands: bodies and secrets. They come from files, standard input and the
//! environment.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::args::SecretPlace;
use super::exit::Failure;
use super::terminal::Terminal;
use crate::config::bounded_read;
use crate::signature::decoration;

/// Checks that at most one of the inputs is standard input (`-`). Each input has its name, and its file if it
/// is read.
///
/// # Errors
/// Wrong usage if there are two: the first input would read the bytes that are meant for the second input.
pub(super) fn at_most_one(inputs: &[(&str, Option<&Path>)]) -> Result<(), Failure> {
    let mut from_stdin =
        inputs.iter().filter(|(_, file)| *file == Some(Path::new("-"))).map(|(name, _)| name);
    match (from_stdin.next(), from_stdin.next()) {
        (Some(one), Some(other)) => {
            let why = format!("standard input cannot be both {one} and {other}");
            Err(Failure::usage(why).hint("name a file for one of them"))
        }
        (Some(_) | None, _) => Ok(()),
    }
}

/// Reads a body from a file. If the file is `-` or missing, reads it from standard input.
///
/// # Errors
/// A [`Failure`] if the body cannot be read, or is longer than [`MAX_BODY`].
pub(super) fn body(terminal: &mut Terminal, file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let named = file.filter(|file| *file != Path::new("-"));
    let mut content = Vec::new();
    let read = match named {
        Some(file) => bounded_read::open_stream(file)
            .map_err(io::Error::from)
            .and_then(|file| bounded(file, MAX_BODY, &mut content)),
        None => {
            if io::stdin().is_terminal() {
                terminal.note("reading the body from this terminal; Ctrl-D ends it, Ctrl-C gives up");
            }
            bounded(io::stdin().lock(), MAX_BODY, &mut content)
        }
    };
    let name = || named.map_or("standard input".into(), |file| file.display().to_string());
    match read {
        Ok(()) => Ok(content),
        Err(error) => Err(Failure::failed(format!("cannot read the body from {}", name())).because(error)),
    }
}

/// Reads the text of a secret that the command line names. Removes one newline at the end of a file and
/// prints a note, as for a secret of the configuration.
///
/// # Errors
/// Wrong usage if the secret is not set, not readable, or empty.
pub(super) fn secret(terminal: &mut Terminal, place: SecretPlace<'_>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let (name, text) = match place {
        SecretPlace::Env(name) => {
            let value = std::env::var_os(name).ok_or_else(|| {
                let unset = format!("the environment variable {name} is not set");
                Failure::usage(unset).hint(format!("set it with `export {name}=...`"))
            })?;
            (name.to_owned(), Zeroizing::new(value.into_encoded_bytes()))
        }
        SecretPlace::File(path) => {
            let mut text = small_file(path, "the secret")?;
            if text.last() == Some(&b'\n') {
                text.pop();
                let name = path.display();
                terminal
                    .note(format_args!("{name} ends in a newline, which is not taken as part of the secret"));
            }
            (path.display().to_string(), text)
        }
    };
    let text = match decoration::without_byte_order_mark(&text) {
        Some(bare) => Zeroizing::new(bare.to_vec()),
        None => text,
    };
    if text.is_empty() {
        return Err(Failure::usage(format!("the secret in {name} is empty")));
    }
    Ok(text)
}

/// Reads the text of a private key.
///
/// # Errors
/// Wrong usage if the file is not readable.
pub(super) fn private_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    small_file(path, "the private key")
}

fn small_file(path: &Path, what: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let unreadable =
        |error| Failure::usage(format!("cannot read {what} from {}", path.display())).because(error);
    bounded_read::read_once(path, MAX_SECRET).map(|read| read.bytes).map_err(unreadable)
}

/// Random bytes.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn random<const N: usize>() -> io::Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    File::open("/dev/urandom")?.read_exact(bytes.as_mut_slice())?;
    Ok(bytes)
}

/// A random UUID (RFC 9562, version 4).
///
/// # Errors
/// A [`Failure`] if the system has no random numbers.
pub(super) fn uuid() -> Result<String, Failure> {
    let random =
        random_secret().map_err(|error| Failure::failed("cannot make up an identifier").because(error))?;
    let part = |range| random.get(range).unwrap_or_default();
    Ok(format!("{}-{}-4{}-8{}-{}", part(0..8), part(8..12), part(12..15), part(15..18), part(18..30)))
}

/// A secret that is used only in this run: a text of 48 hexadecimal digits.
///
/// # Errors
/// The system has no random numbers.
pub(super) fn random_secret() -> io::Result<Zeroizing<String>> {
    Ok(Zeroizing::new(hex::encode(random::<24>()?.as_slice())))
}

fn bounded(from: impl Read, limit: usize, into: &mut Vec<u8>) -> io::Result<()> {
    let more = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    from.take(more).read_to_end(into)?;
    if into.len() > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(())
}

/// The most bytes of a body. Guards the memory of this machine against a device or a pipe without an end.
const MAX_BODY: usize = 1 << 30;

/// The most bytes of a secret's file. A larger file was named by mistake.
const MAX_SECRET: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_read_up_to_its_limit_and_not_beyond() {
        for (length, fits) in [(9, true), (10, true), (11, false)] {
            let mut into = Vec::new();
            assert_eq!(bounded(io::repeat(b'x').take(length), 10, &mut into).is_ok(), fits, "{length}");
        }
    }

    #[test]
    fn no_two_random_secrets_are_the_same() {
        let (a, b) = (random_secret().unwrap(), random_secret().unwrap());
        assert_eq!((a.len(), b.len()), (48, 48));
        assert_ne!(*a, *b);
    }
}
