//! The `exec` section of a service file.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::DEFAULT_GRACE_SECONDS;

/// `EX_TEMPFAIL` of sysexits: another try may help, unless the file says otherwise.
const RETRYABLE: u8 = 75;

/// The `exec` executor: a program per job.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exec {
    /// Program and arguments, fixed; parameters never become part of it. A program with a slash that is
    /// not absolute is looked up from the file's directory, one without a slash in `PATH`.
    pub command: Vec<String>,
    /// Variables set for the job, on top of the `ISC_*` ones.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Names of the worker's own variables that are handed on. Default none, apart from `PATH`.
    #[serde(default)]
    pub inherit_env: Vec<String>,
    /// What exit codes mean, on top of 75: retryable. A code that is not here is permanent.
    #[serde(default)]
    pub exit_codes: BTreeMap<u8, ExitClass>,
    /// Time between SIGTERM and SIGKILL, seconds. Default 10.
    #[serde(default = "default_grace")]
    pub grace_seconds: u64,
}

/// What a failure says about another try.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub enum ExitClass {
    /// It may help.
    Retryable,
    /// It does not.
    Permanent,
    /// It does not: the parameters are wrong.
    Invalid,
}

pub(super) fn default_grace() -> u64 {
    DEFAULT_GRACE_SECONDS
}

// === impl Exec ===

impl Exec {
    /// What an exit code other than 0 means.
    #[must_use]
    pub fn exit_class(&self, code: i32) -> ExitClass {
        let named = u8::try_from(code).ok();
        let named = named.and_then(|code| self.exit_codes.get(&code).copied());
        let default = if code == i32::from(RETRYABLE) {
            ExitClass::Retryable
        } else {
            ExitClass::Permanent
        };
        named.unwrap_or(default)
    }

    pub(super) fn check(&self) -> Result<(), String> {
        if self.command.first().is_none_or(String::is_empty) {
            return Err("`exec.command` must name a program, as in [\"./sign.sh\"]".into());
        }
        if self.exit_codes.contains_key(&0) {
            return Err("`exec.exitCodes` cannot name 0: it is success".into());
        }
        let mut names = self.env.keys().chain(&self.inherit_env);
        match names.find(|name| name.starts_with("ISC_") || !is_variable(name)) {
            Some(name) => Err(format!(
                "`{name}` cannot be set for a job: a variable's name has no `=`, is not empty and does not start with ISC_"
            )),
            None => Ok(()),
        }
    }
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(text: &str) -> Result<Exec, String> {
        let exec: Exec = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        exec.check().map(|()| exec)
    }

    #[test]
    fn exit_codes_mean_what_the_file_says_and_75_is_retryable_by_itself() {
        let exec = exec("{command: [a], exitCodes: {3: invalid, 4: retryable, 9: permanent}}");
        let exec = exec.unwrap();
        let cases = [
            (1, ExitClass::Permanent),
            (3, ExitClass::Invalid),
            (4, ExitClass::Retryable),
            (9, ExitClass::Permanent),
            (75, ExitClass::Retryable),
            (300, ExitClass::Permanent),
        ];
        for (code, class) in cases {
            assert_eq!(exec.exit_class(code), class, "{code}");
        }
        let other = self::exec("{command: [a], exitCodes: {75: permanent}}").unwrap();
        assert_eq!(other.exit_class(75), ExitClass::Permanent);
    }

    #[test]
    fn a_wrong_exit_code_is_named() {
        for (codes, wanted) in [
            ("{0: retryable}", "exitCodes"),
            ("{256: retryable}", "256"),
            ("{3: perhaps}", "perhaps"),
        ] {
            let error = exec(&format!("{{command: [a], exitCodes: {codes}}}")).unwrap_err();
            assert!(error.contains(wanted), "{codes}: {error}");
        }
    }
}
