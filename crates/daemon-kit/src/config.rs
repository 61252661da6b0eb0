//! Configuration files: TOML, strict, with errors that name file, line and key.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Why a configuration cannot be used. Maps to exit status 64 ([`crate::exit`]).
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The text is no TOML, or a key or value in it is not what it should be.
    #[error("{}:{line}: {}{message}", path.display(), key_prefix(key))]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Dotted key, empty where the text is no TOML at all.
        key: String,
        /// What is wrong and what would be right.
        message: String,
    },
    /// Every key is well formed, but together they make no sense.
    #[error("{}: {key}: {message}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Dotted key.
        key: String,
        /// What is wrong and what would be right.
        message: String,
    },
}

impl ConfigError {
    /// An error about a value that parsed and yet cannot be.
    pub fn invalid(path: &Path, key: &str, message: impl Into<String>) -> Self {
        Self::Invalid {
            path: path.into(),
            key: key.into(),
            message: message.into(),
        }
    }
}

fn key_prefix(key: &str) -> String {
    if key.is_empty() {
        String::new()
    } else {
        format!("{key}: ")
    }
}

/// Reads the file at `path` as a `T`. Let `T` be `#[serde(deny_unknown_fields)]`.
///
/// # Errors
/// [`ConfigError::Read`] or [`ConfigError::Parse`].
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.into(),
        source,
    })?;
    parse(path, &text)
}

/// Reads `text` as a `T`; `path` is what errors name.
///
/// # Errors
/// [`ConfigError::Parse`].
///
/// ```
/// #[derive(Debug, serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Config { port: u16 }
///
/// let error = daemon_kit::config::parse::<Config>("a.toml".as_ref(), "\nport = \"x\"").unwrap_err();
/// assert!(error.to_string().starts_with("a.toml:2: port: invalid type"));
/// ```
pub fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, ConfigError> {
    let failed = |key: String, error: &toml::de::Error| ConfigError::Parse {
        path: path.into(),
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        key,
        message: error.message().trim_end().replace('\n', ", "),
    };
    let document = toml::Deserializer::parse(text).map_err(|e| failed(String::new(), &e))?;
    serde_path_to_error::deserialize(document).map_err(|e| {
        let key = e.path().to_string();
        failed(if key == "." { String::new() } else { key }, e.inner())
    })
}

/// The text of a shipped file with its commented settings switched on: those that begin with
/// `mark`, which is `#` for what holds without the line and `# ` for an example. Prose stays.
pub fn switched_on(text: &str, mark: &str) -> String {
    let is_setting = |line: &&str| {
        let key = line.split_once(" = ").map_or("", |(key, _)| key);
        let is_key = key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        line.starts_with('[') || (!key.is_empty() && is_key)
    };
    text.lines()
        .map(|line| line.strip_prefix(mark).filter(is_setting).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n")
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Config {
        listen: std::net::SocketAddr,
        limits: Option<Limits>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        connections: u32,
    }

    fn message(text: &str) -> String {
        parse::<Config>("api.toml".as_ref(), text)
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn each_mistake_names_file_line_and_key() {
        let good = "listen = \"127.0.0.1:8000\"\n";
        let whole = format!("{good}[limits]\nconnections = 7\n");
        let config: Config = parse("api.toml".as_ref(), &whole).unwrap();
        assert_eq!(config.listen.port(), 8000);
        assert_eq!(config.limits.map(|limits| limits.connections), Some(7));
        assert_eq!(
            message(&format!("{good}colour = 1\n")),
            "api.toml:2: colour: unknown field `colour`, expected `listen` or `limits`"
        );
        assert!(
            message(&format!("{good}[limits]\n\nconnections = -1"))
                .starts_with("api.toml:4: limits.connections: "),
            "{}",
            message(&format!("{good}[limits]\n\nconnections = -1"))
        );
        assert!(message("listen = \"here\"").starts_with("api.toml:1: listen: "));
        assert!(message("listen = ").starts_with("api.toml:1: "));
        assert_eq!(message(""), "api.toml:1: missing field `listen`");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load::<Config>("/nonexistent/api.toml".as_ref()).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/api.toml: cannot be read");
    }
}
