//! What is wrong with one object, gathered while it is compiled, and the conditions that follow from it.
//!
//! Nothing here decides what is wrong; it only keeps what was found, in the order in which it was.

use crate::verdict::Condition;

/// Longest message of a condition, in bytes.
const MESSAGE_BYTES: usize = 2_048;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gravity {
    /// The object itself cannot be taken: Accepted is False.
    Invalid,
    /// Something that it names keeps it from working: ResolvedRefs is False.
    Unresolved,
    /// Something that it names is missing, and the rest works.
    Partial,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) gravity: Gravity,
    /// Reason of the condition, CamelCase.
    pub(crate) reason: &'static str,
    /// Where in the object.
    pub(crate) path: String,
    /// What to do about it.
    pub(crate) message: String,
}

/// All findings of one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    pub(crate) fn add(
        &mut self,
        gravity: Gravity,
        reason: &'static str,
        path: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.0.push(Finding { gravity, reason, path: path.into(), message: message.into() });
    }

    /// The first of that gravity.
    pub(crate) fn first(&self, gravity: Gravity) -> Option<&Finding> {
        self.0.iter().find(|finding| finding.gravity == gravity)
    }

    /// Accepted and ResolvedRefs.
    pub(crate) fn conditions(&self) -> Vec<Condition> {
        let condition = |type_, gravities: &[Gravity]| {
            let worst = gravities.iter().find_map(|gravity| self.first(*gravity))?;
            let partial = worst.gravity == Gravity::Partial;
            let reason = if partial { "PartiallyResolved" } else { worst.reason };
            Some(Condition { type_, status: partial, reason, message: self.message(gravities) })
        };
        let accepted = condition("Accepted", &[Gravity::Invalid]).unwrap_or_else(valid);
        let resolved = condition("ResolvedRefs", &[Gravity::Unresolved, Gravity::Partial]);
        let resolved = resolved.unwrap_or_else(|| Condition {
            type_: "ResolvedRefs",
            status: true,
            reason: "ResolvedRefs",
            message: "everything that it names is there".into(),
        });
        vec![accepted, resolved]
    }

    /// Accepted alone, of a kind that works without what it names: True with a reason where that is missing.
    pub(crate) fn accepted(&self) -> Condition {
        let worst = [Gravity::Invalid, Gravity::Unresolved, Gravity::Partial];
        let worst = worst.into_iter().find_map(|gravity| self.first(gravity));
        match worst {
            Some(finding) => Condition {
                type_: "Accepted",
                status: finding.gravity != Gravity::Invalid,
                reason: finding.reason,
                message: self.message(&[finding.gravity]),
            },
            None => valid(),
        }
    }

    /// Field path and message of each.
    pub(crate) fn complaints(self) -> Vec<(String, String)> {
        self.0.into_iter().map(|finding| (finding.path, finding.message)).collect()
    }

    /// All of them in one text, if there are any.
    pub(crate) fn summary(&self) -> Option<String> {
        let all = [Gravity::Invalid, Gravity::Unresolved, Gravity::Partial];
        (!self.0.is_empty()).then(|| self.message(&all))
    }

    fn message(&self, gravities: &[Gravity]) -> String {
        let named = self.0.iter().filter(|finding| gravities.contains(&finding.gravity));
        let all: Vec<_> = named.map(|finding| format!("{}: {}", finding.path, finding.message)).collect();
        let mut message = all.join("; ");
        if message.len() > MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
            message.push('…');
        }
        message
    }
}

fn valid() -> Condition {
    Condition { type_: "Accepted", status: true, reason: "Accepted", message: "the object is valid".into() }
}
