//! What a Claude model takes, told by its name; the API has no other way to ask.
//!
//! Source: Anthropic's model and migration documentation. A name that is no Claude's is taken for a
//! current model of unknown limits.

/// Tokens of output where neither name nor configuration tells.
const DEFAULT_MAX_OUTPUT: u64 = 8_192;

/// A model's abilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    opus: bool,
    /// Major and minor; absent = not a Claude's.
    version: Option<(u32, u32)>,
}

impl Model {
    /// Reads names such as `claude-3-5-haiku-20241022`, `claude-opus-4-1` or `anthropic.claude-sonnet-5`.
    pub(super) fn of(name: &str) -> Self {
        let Some(rest) = name.split_once("claude-").map(|(_, rest)| rest) else {
            return Self { opus: false, version: None };
        };
        let small = |part: &&str| part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit());
        let mut numbers = rest.split(['-', '.', '@', ':']).skip_while(|part| !small(part));
        let mut next = || numbers.next().filter(small).and_then(|part| part.parse().ok());
        let major: Option<u32> = next();
        let minor: Option<u32> = next();
        Self { opus: rest.contains("opus"), version: major.map(|major| (major, minor.unwrap_or(0))) }
    }

    fn at_least(self, version: (u32, u32)) -> bool {
        self.version.is_none_or(|held| held >= version)
    }

    /// Whether it is told how much to think by effort; older ones take a budget of tokens.
    pub(super) fn thinks_adaptively(self) -> bool {
        self.at_least((4, 6))
    }

    /// Whether efforts above `high` are known.
    pub(super) fn knows_xhigh(self) -> bool {
        self.at_least((4, 7))
    }

    /// Whether it takes temperature, `top_p` and `top_k`.
    pub(super) fn samples(self) -> bool {
        self.version.is_none_or(|held| held < if self.opus { (4, 7) } else { (5, 0) })
    }

    /// Whether it refuses temperature and `top_p` together.
    pub(super) fn samples_by_one(self) -> bool {
        self.version.is_some_and(|held| held >= (4, 1))
    }

    /// Whether it answers by a JSON schema.
    pub(super) fn takes_schemas(self) -> bool {
        self.at_least((4, 1))
    }

    /// Most tokens of output.
    pub(super) fn max_output(self) -> u64 {
        match self.version {
            None => DEFAULT_MAX_OUTPUT,
            Some(version) if version < (3, 5) => 4_096,
            Some(version) if version < (3, 7) => 8_192,
            Some((4, 0 | 1)) if self.opus => 32_000,
            Some(version) if version >= (4, 6) && self.opus => 128_000,
            Some(_) => 64_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_model_takes_t68() {
        for (name, version, adaptive, samples, max) in [
            ("claude-3-opus-20240229", Some((3, 0)), false, true, 4_096),
            ("claude-3-5-haiku-latest", Some((3, 5)), false, true, 8_192),
            ("claude-sonnet-4-20250514", Some((4, 0)), false, true, 64_000),
            ("claude-opus-4-1-20250805", Some((4, 1)), false, true, 32_000),
            ("claude-sonnet-4-5", Some((4, 5)), false, true, 64_000),
            ("claude-opus-4-6", Some((4, 6)), true, true, 128_000),
            ("claude-opus-4-7", Some((4, 7)), true, false, 128_000),
            ("claude-sonnet-5", Some((5, 0)), true, false, 64_000),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some((4, 5)), false, true, 64_000),
            ("my-own-model", None, true, true, 8_192),
        ] {
            let model = Model::of(name);
            assert_eq!(model.version, version, "{name}");
            assert_eq!(
                (model.thinks_adaptively(), model.samples(), model.max_output()),
                (adaptive, samples, max),
                "{name}"
            );
        }
    }
}
