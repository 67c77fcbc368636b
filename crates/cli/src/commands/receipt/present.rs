//! `assay receipt present` and `presented`: a part of a receipt, by somebody's word.

use assay_verify::verify::read_receipt;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use assay_node::{DevelopmentKeys, Env, Role, presented_by};
use assay_receipt::{Expected, Outcome, Presentation, PresentationCheck, claim_names};
use serde::Serialize;

use crate::commands::receipt::made::Made;
use crate::output::failure::Failure;
use crate::output::files::{read_file, write_secret};
use crate::output::print::print;
use crate::output::text::{harmless, json, table};
use crate::session::home::HomeArgument;
use crate::session::keys::KeyArgument;
use crate::session::trust::trusted;

#[derive(clap::Args)]
pub(crate) struct Present {
    #[command(flatten)]
    home: HomeArgument,
    /// The key that signs [default: the local market's requester]
    #[command(flatten)]
    key: KeyArgument,
    /// The receipt
    receipt: PathBuf,
    /// What to show besides job, digests, ending and verdict, separated by commas: presenter,
    /// market, requester, provider, beneficiary, price, stake, steps, times, terms, statement-order
    /// and so on; or all
    #[arg(long, value_name = "NAME", num_args = 1.., value_delimiter = ',')]
    show: Vec<String>,
    /// Who will read the presentation, as they asked you to name them
    #[arg(long, value_name = "NAME", requires = "nonce")]
    audience: Option<String>,
    /// The nonce that they gave you, so that they know it is no copy
    #[arg(long, value_name = "TEXT", requires = "audience")]
    nonce: Option<String>,
    /// Where to write the presentation [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Presented {
    #[command(flatten)]
    home: HomeArgument,
    /// The presentation
    file: PathBuf,
    /// The receipt to compare the presentation with
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// The trust file (assay.trust/1): whom you trust, and for what [default: trust.json under the
    /// home, if it is there]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Who you are, as you asked to be named
    #[arg(long, value_name = "NAME", requires = "nonce")]
    audience: Option<String>,
    /// The nonce that you gave
    #[arg(long, value_name = "TEXT", requires = "audience")]
    nonce: Option<String>,
}

#[derive(Serialize)]
struct Judged<'a> {
    schema: &'static str,
    standing: &'static str,
    #[serde(flatten)]
    presentation: &'a Presentation,
}

pub(crate) fn present(arguments: &Present, as_json: bool) -> Result<String, Failure> {
    let receipt = read_receipt(&arguments.receipt)?;
    let mut show: BTreeSet<String> = arguments.show.iter().cloned().collect();
    if show.remove("all") {
        show.extend(claim_names(&receipt));
        show.insert("presenter".into());
    }
    let home = arguments.home.open()?;
    let signer = match arguments.key.is_given() {
        true => arguments.key.load(&home)?,
        false => DevelopmentKeys::open(&home)?.key(Role::Requester),
    };
    let audience = arguments.audience.as_deref().zip(arguments.nonce.as_deref());
    let made = presented_by(&Env::system(), &signer, &receipt, &show, audience)?.map_err(|error| {
        Failure::new("cannot present the receipt").cause(error).next(
            "`assay verify` checks the receipt; `assay receipt present --help` lists what can be shown",
        )
    })?;
    let Some(path) = &arguments.output else { return Ok(made + "\n") };
    write_secret(path, made.as_bytes())?;
    let shown = show.into_iter().collect::<Vec<_>>();
    let job = receipt.job;
    if as_json {
        return Ok(json(&Made { schema: "assay.present/1", job, file: path, shown }));
    }
    Ok(table(&[
        ("presentation", path.display().to_string()),
        ("by", signer.address().to_string()),
        (
            "shows",
            ["job, digests, ending, verdict"]
                .into_iter()
                .map(str::to_owned)
                .chain(shown)
                .collect::<Vec<_>>()
                .join(", "),
        ),
    ]))
}

pub(crate) fn presented(arguments: &Presented, as_json: bool) -> Result<String, Failure> {
    let bytes = read_file(&arguments.file)?;
    // What is printed to a terminal ends with a line feed, and a presentation does not.
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let receipt = arguments.receipt.as_deref().map(read_receipt).transpose()?;
    let trust = trusted(&arguments.home, arguments.trust.as_deref())?;
    let audience = arguments.audience.as_deref().zip(arguments.nonce.as_deref());
    let expected = Expected { receipt: receipt.as_ref(), trust: trust.as_ref(), audience };
    let presentation = Presentation::from_bytes(bytes, expected).map_err(|error| {
        Failure::refused(format!("{} is not a valid presentation", arguments.file.display()))
            .cause(error)
            .next("do not rely on it; ask for the presentation again")
    })?;
    let standing = match (presentation.is_refused(), presentation.is_compared()) {
        (true, _) => "refused",
        (false, true) => "compared",
        (false, false) => "word",
    };
    let text = if as_json {
        json(&Judged { schema: "assay.presented/1", standing, presentation: &presentation })
    } else {
        told(&presentation, standing)
    };
    if standing != "refused" {
        return Ok(text);
    }
    print(&text)?;
    let wrong = presentation.checks.iter().find(|check| check.outcome == Outcome::Refused);
    let failure = Failure::refused("the presentation does not hold")
        .next("do not rely on it; ask for the receipt itself");
    Err(match wrong {
        Some(check) => failure.cause(&check.what),
        None => failure,
    })
}

fn told(presentation: &Presentation, standing: &str) -> String {
    let mut text = String::new();
    for (name, value) in &presentation.claims {
        let value = match value {
            serde_json::Value::String(plain) => plain.clone(),
            _ if name.starts_with("statement-") || name == "cnf" => continue,
            other => other.to_string(),
        };
        // Strings of a stranger, for a terminal.
        let _ = writeln!(text, "{name:<14} {}", harmless(value.as_bytes()));
    }
    text += &presentation.checks.iter().map(line).collect::<String>();
    text + &table(&[(
        "standing",
        match standing {
            "refused" => "refused",
            "compared" => "it says what the receipt says",
            _ => "the word of who holds the key, about a receipt that is not here; no more",
        }
        .to_owned(),
    )])
}

fn line(check: &PresentationCheck) -> String {
    let outcome = match check.outcome {
        Outcome::Held => "held",
        Outcome::Refused => "REFUSED",
        Outcome::NotChecked => "not checked",
    };
    let by = check.by.as_ref().map(|by| format!(" [{by}]")).unwrap_or_default();
    format!("{outcome:<12} {}{by}\n", harmless(check.what.as_bytes()))
}
