//! What kubectl said, and what a person reading it must find there.

use std::process::Output;

use super::Kubectl;

/// The end of a kubectl command.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Outcome {
    pub fn of(output: &Output) -> Self {
        Self {
            ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The `Warning:` lines.
    pub fn warnings(&self) -> Vec<&str> {
        self.stderr.lines().filter_map(|line| line.strip_prefix("Warning: ")).collect()
    }

    #[track_caller]
    pub fn passes(self) -> Self {
        assert!(self.ok, "should pass:\n{self}");
        self
    }

    /// Passes, and nothing is said about it.
    #[track_caller]
    pub fn passes_silently(self) -> Self {
        assert!(self.ok && self.warnings().is_empty(), "should pass without a warning:\n{self}");
        self
    }

    /// Passes with a warning of this rule that contains this.
    #[track_caller]
    pub fn warns(self, rule: &str, containing: &str) -> Self {
        let this = self.passes();
        let prefix = format!("{rule}: ");
        let found = this.warnings().iter().any(|w| w.starts_with(&prefix) && w.contains(containing));
        assert!(found, "should warn of {rule} with {containing:?}:\n{this}");
        this
    }

    /// Whether Portcullis said no.
    pub fn is_denied(&self) -> bool {
        !self.ok && self.stderr.contains(".portcullis.dev\" denied the request")
    }

    /// Refused by this rule, with this among what is said.
    #[track_caller]
    pub fn denied(self, rule: &str, containing: &str) -> Self {
        assert!(self.is_denied(), "should be denied by portcullis:\n{self}");
        assert!(self.stderr.contains("(Forbidden)"), "{self}");
        let named = self.stderr.lines().any(|line| {
            line.split_once(". ")
                .is_some_and(|(n, rest)| n.parse::<u8>().is_ok() && rest.starts_with(&format!("{rule}: ")))
        });
        assert!(named, "should break {rule}:\n{self}");
        assert!(self.stderr.contains(containing), "should say {containing:?}:\n{self}");
        self
    }

    /// Rules that a denial names.
    pub fn rules(&self) -> Vec<&str> {
        let numbered = self.stderr.lines().filter_map(|line| {
            let (number, rest) = line.split_once(". ")?;
            number.parse::<u8>().ok()?;
            Some(rest.split_once(": ")?.0)
        });
        numbered.collect()
    }

    /// The commands that the denial offers, as they can be pasted.
    pub fn cure(&self) -> Option<String> {
        let lines: Vec<&str> = self.stderr.lines().collect();
        let start = lines.iter().position(|line| line.starts_with("kubectl apply -f - <<'EOF'"))?;
        let end = start + lines[start..].iter().position(|line| *line == "EOF")?;
        Some(lines[start..=end].join("\n") + "\n")
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "--- {}\n{}--- stderr\n{}---", if self.ok { "passed" } else { "failed" }, self.stdout, self.stderr)
    }
}

impl Kubectl {
    /// This request is refused by this rule; what the refusal prints makes the same request pass.
    #[track_caller]
    pub fn denied_then_cured(&self, yaml: &str, rule: &str, containing: &str) -> Outcome {
        let denial = self.apply(yaml).denied(rule, containing);
        let cure = denial.cure().unwrap_or_else(|| panic!("no cure is offered:\n{denial}"));
        assert!(denial.stderr.contains("the same request passes (checked)"), "{denial}");
        self.paste(&cure).passes();
        self.apply(yaml).passes();
        denial
    }

    /// As [`Self::denied_then_cured`], where the cure takes the place of what was sent.
    #[track_caller]
    pub fn denied_then_replaced(&self, yaml: &str, rule: &str, containing: &str) -> Outcome {
        let denial = self.apply(yaml).denied(rule, containing);
        let cure = denial.cure().unwrap_or_else(|| panic!("no cure is offered:\n{denial}"));
        self.paste(&cure).passes();
        denial
    }
}
