//! Shell. Which files of a configuration another user may not read.
//!
//! Root may read every file, and the service's user may not. The permission bits of the files and of their
//! folders decide here. Access control lists do not count.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::exit::Failure;
use crate::config::load::{self, Source};

/// A user, as the files of the system know it.
struct User {
    id: u32,
    groups: Vec<u32>,
}

/// The files of this configuration that the user may not read, each with what keeps the user from it.
///
/// # Errors
/// Wrong usage if there is no such user.
pub(super) fn denied(config: &Path, name: &str) -> Result<Vec<String>, Failure> {
    let user = user(name)?;
    let files = files(config);
    let denied = files.iter().filter_map(|file| {
        let path = fs::canonicalize(file).ok()?;
        let obstacle = obstacle(&path, &user)?;
        let shown = file.display();
        Some(if obstacle == path {
            format!("{name} may not read {shown}")
        } else {
            format!("{name} may not read {shown}, because {name} may not enter {}", obstacle.display())
        })
    });
    Ok(denied.collect())
}

/// Whether a file of this configuration is readable for its owner alone, and this process is root. Then the
/// check says nothing about the user of the service.
pub(super) fn is_root_alone(config: &Path) -> bool {
    let is_private = |file: &PathBuf| {
        fs::metadata(file).is_ok_and(|metadata| metadata.uid() == 0 && metadata.mode() & 0o044 == 0)
    };
    rustix::process::geteuid().is_root() && files(config).iter().any(is_private)
}

/// The files that are read with this configuration. Standard input does not count.
fn files(config: &Path) -> Vec<PathBuf> {
    if config == Path::new("-") {
        return Vec::new();
    }
    let files = RefCell::new(Vec::new());
    let _known =
        load::load_observed(config, Source::File, &|read| files.borrow_mut().push(read.path.to_owned()));
    files.into_inner()
}

/// The folder or file that keeps a user from reading this file.
fn obstacle(path: &Path, user: &User) -> Option<PathBuf> {
    let folders: Vec<_> = path.ancestors().skip(1).collect();
    let closed = folders.into_iter().rev().find(|folder| !may(folder, user, 0o1));
    let file = (!may(path, user, 0o4)).then_some(path);
    closed.or(file).map(Path::to_owned)
}

/// Whether the permission bits grant this right: 4 to read, 1 to enter. The first class that fits decides
/// (path_resolution(7)).
fn may(path: &Path, user: &User, right: u32) -> bool {
    let Ok(metadata) = fs::metadata(path) else { return false };
    let mode = metadata.mode();
    let bits = if user.id == 0 {
        0o7
    } else if metadata.uid() == user.id {
        mode >> 6
    } else if user.groups.contains(&metadata.gid()) {
        mode >> 3
    } else {
        mode
    };
    bits & right == right
}

/// Reads a user and its groups from passwd(5) and group(5). A number is taken as an id without groups.
fn user(name: &str) -> Result<User, Failure> {
    let lines = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let (passwd, group) = (lines("/etc/passwd"), lines("/etc/group"));
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let entry = passwd.lines().map(fields).find(|fields| fields.first().is_some_and(|first| first == name));
    let number = |fields: &[String], at: usize| fields.get(at).and_then(|text| text.parse().ok());
    let known = entry.and_then(|fields| Some((number(&fields, 2)?, number(&fields, 3)?)));
    let Some((id, own)) = known.or_else(|| name.parse().ok().map(|id| (id, id))) else {
        return Err(Failure::usage(format!("there is no user {name} in /etc/passwd"))
            .hint("name the user that the service runs as (`User=` under systemd), or its number"));
    };
    let of_user = group.lines().map(fields).filter(|fields| {
        fields.get(3).is_some_and(|members| members.split(',').any(|member| member == name))
    });
    let groups = of_user.filter_map(|fields| number(&fields, 2)).chain([own]).collect();
    Ok(User { id, groups })
}
