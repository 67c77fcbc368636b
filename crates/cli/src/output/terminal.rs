//! What a terminal shows and a pipe does not: names for accounts, short hashes, and colour for
//! outcomes. JSON, pipes and files get every address and hash whole, and no colour.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::OnceLock;

use alloy_primitives::Address;
use clap::ColorChoice;

/// How the two streams look; plain until [`start`] says otherwise.
static TERMINAL: OnceLock<Terminal> = OnceLock::new();

/// Outcomes and their colours, as ANSI codes: green, red, yellow.
const COLOURS: [(&str, &str); 7] = [
    ("settled", "32"),
    ("slashed", "31"),
    ("refused", "31"),
    ("REFUSED", "31"),
    ("refuted", "31"),
    ("FAIL", "31"),
    ("challenged", "33"),
];

/// How wide a short address is, for columns.
const SHORT_WIDTH: usize = 11;

/// How text looks from here on.
struct Terminal {
    /// Of standard output and of standard error.
    looks: [Look; 2],
    find: Find,
    names: OnceLock<Names>,
}

/// What to make of text on a stream.
struct Look {
    is_short: bool,
    is_coloured: bool,
}

/// Finds names, and tells whether they are all that will be found: a home's first market makes its
/// keys while the command runs.
type Find = Box<dyn Fn() -> (Names, bool) + Send + Sync>;

/// Accounts that have a name here.
#[derive(Clone, Default)]
pub(crate) struct Names(BTreeMap<Address, String>);

/// Decides how text looks from here on. With `full`, addresses and hashes stay whole.
pub(crate) fn start(
    full: bool,
    color: ColorChoice,
    find: impl Fn() -> (Names, bool) + Send + Sync + 'static,
) {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let look = |is_terminal: bool| Look {
        is_short: is_terminal && !full,
        is_coloured: match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && !plain,
        },
    };
    let looks = [look(std::io::stdout().is_terminal()), look(std::io::stderr().is_terminal())];
    // A second call would be ignored, and there is none.
    let _ = TERMINAL.set(Terminal { looks, find: Box::new(find), names: OnceLock::new() });
}

/// Text as standard output shows it.
pub(crate) fn on_stdout(text: &str) -> Cow<'_, str> {
    look(0, text)
}

/// Text as standard error shows it.
pub(crate) fn on_stderr(text: &str) -> Cow<'_, str> {
    look(1, text)
}

fn look(stream: usize, text: &str) -> Cow<'_, str> {
    match TERMINAL.get() {
        Some(terminal) => terminal.apply(stream, text),
        None => Cow::Borrowed(text),
    }
}

impl Terminal {
    fn apply<'a>(&self, stream: usize, text: &'a str) -> Cow<'a, str> {
        let look = &self.looks[stream];
        let mut shown = Cow::Borrowed(text);
        if look.is_short {
            shown = Cow::Owned(self.names().apply(&shown));
        }
        if look.is_coloured {
            shown = Cow::Owned(coloured(&shown));
        }
        shown
    }

    fn names(&self) -> Cow<'_, Names> {
        if let Some(names) = self.names.get() {
            return Cow::Borrowed(names);
        }
        match (self.find)() {
            (names, true) => Cow::Borrowed(self.names.get_or_init(|| names)),
            (names, false) => Cow::Owned(names),
        }
    }
}

impl Names {
    /// Names of accounts. Of two names for one account the first holds.
    pub(crate) fn new(accounts: impl IntoIterator<Item = (Address, String)>) -> Self {
        let mut names = BTreeMap::new();
        for (account, name) in accounts {
            names.entry(account).or_insert(name);
        }
        Names(names)
    }

    /// Text with names for accounts, and all other addresses and hashes short. What is part of a
    /// longer word, such as a path, stays whole.
    pub(crate) fn apply(&self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        for (word, gap) in words(text) {
            let core = word.trim_matches(|c: char| c.is_ascii_punctuation());
            match self.short(core) {
                Some(short) if !core.is_empty() => {
                    let at = word.find(core).unwrap_or_default();
                    shown.push_str(&word[..at]);
                    shown.push_str(&short);
                    shown.push_str(&word[at + core.len()..]);
                    if gap.starts_with("  ") {
                        let missing = SHORT_WIDTH.saturating_sub(short.chars().count());
                        shown.extend(std::iter::repeat_n(' ', missing));
                    }
                }
                _ => shown.push_str(word),
            }
            shown.push_str(gap);
        }
        shown
    }

    /// The short form of an address or a hash; none for any other word.
    fn short(&self, word: &str) -> Option<String> {
        let digits = word.strip_prefix("0x");
        let hex = digits.unwrap_or(word);
        let is_hash = hex.len() == 64;
        let is_address = digits.is_some() && hex.len() == 40;
        if !(is_hash || is_address) || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        if let Some(name) = word.parse::<Address>().ok().and_then(|account| self.0.get(&account)) {
            return Some(name.clone());
        }
        let prefix = if digits.is_some() { "0x" } else { "" };
        Some(format!("{prefix}{}…{}", &hex[..4], &hex[hex.len() - 4..]))
    }
}

/// Words, each with the space after it.
fn words(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let next = rest[end..].find(|c: char| !c.is_whitespace()).map_or(rest.len(), |at| end + at);
        let pair = (&rest[..end], &rest[end..next]);
        rest = &rest[next..];
        Some(pair)
    })
}

/// Text with colour for outcomes that begin a line or a column.
fn coloured(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut begins_column = true;
    for (word, gap) in words(text) {
        let core = word.trim_end_matches(|c: char| c.is_ascii_punctuation());
        match COLOURS.iter().find(|(outcome, _)| begins_column && *outcome == core) {
            Some((outcome, colour)) => {
                let rest = &word[outcome.len()..];
                shown.push_str(&format!("\u{1b}[{colour}m{outcome}\u{1b}[0m{rest}"));
            }
            None => shown.push_str(word),
        }
        shown.push_str(gap);
        begins_column = gap.contains('\n') || gap.len() >= 2;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "0xb76bCE50B0921A4BFDe40bf5E772602846c1db9c";
    const OTHER: &str = "0x4dF9c73604c2eaD7d936fFB90dB0ccd268b06833";
    const JOB: &str = "0x75f77ce84e72d5285db600707920221d20fb86c046c19c63956a331accd34575";

    fn names() -> Names {
        let account = ACCOUNT.parse().unwrap();
        Names::new([(account, "provider-1".to_owned()), (account, "another".to_owned())])
    }

    #[test]
    fn known_accounts_have_names_and_the_rest_is_short() {
        let text = format!("ordered    {JOB}\nlocked     by {ACCOUNT}: not {OTHER}, [{OTHER}]\n");
        assert_eq!(
            names().apply(&text),
            "ordered    0x75f7…4575\nlocked     by provider-1: not 0x4dF9…6833, [0x4dF9…6833]\n"
        );
        let bare = JOB.trim_start_matches("0x");
        assert_eq!(names().apply(bare), "75f7…4575");
        let lower = ACCOUNT.to_ascii_lowercase();
        assert_eq!(names().apply(&lower), "provider-1", "however it is spelled");
    }

    #[test]
    fn columns_stay_columns() {
        let text = format!("{ACCOUNT}  9,000\n{OTHER}  8,000\n");
        assert_eq!(names().apply(&text), "provider-1   9,000\n0x4dF9…6833  8,000\n");
    }

    #[test]
    fn what_is_to_be_copied_stays_whole() {
        let path = format!("/srv/keys/{ACCOUNT}.json");
        let dataset = format!("--dataset-of {ACCOUNT}/clinic");
        let version = "1234567 2f9d92fb no\u{a0}word\n\n  end";
        for text in [path.as_str(), &dataset, version, ""] {
            assert_eq!(names().apply(text), text);
        }
    }

    #[test]
    fn only_outcomes_that_begin_a_column_are_coloured() {
        let text = "settled    to you\nstatus       settled\nit was settled\nREFUSED      x";
        assert_eq!(
            coloured(text),
            "\u{1b}[32msettled\u{1b}[0m    to you\nstatus       \u{1b}[32msettled\u{1b}[0m\n\
             it was settled\n\u{1b}[31mREFUSED\u{1b}[0m      x"
        );
    }

    #[test]
    fn names_are_looked_for_until_all_are_found() {
        let found = std::sync::atomic::AtomicBool::new(false);
        let find = move || match found.swap(true, std::sync::atomic::Ordering::Relaxed) {
            true => (names(), true),
            false => (Names::default(), false),
        };
        let looks = [true, false].map(|is_short| Look { is_short, is_coloured: false });
        let terminal = Terminal { looks, find: Box::new(find), names: OnceLock::new() };
        assert_eq!(terminal.apply(0, ACCOUNT), "0xb76b…db9c", "the home has no keys yet");
        assert_eq!(terminal.apply(0, ACCOUNT), "provider-1", "now it has");
        assert_eq!(terminal.apply(1, ACCOUNT), ACCOUNT, "a pipe gets it whole");
    }

    #[test]
    fn nothing_is_changed_before_a_terminal_is_known() {
        assert_eq!(on_stdout(JOB), JOB);
        assert_eq!(on_stderr("settled"), "settled");
    }
}
