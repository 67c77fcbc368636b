//! `assay up`, `down` and `status`: the whole market of this machine.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use assay_node::{Home, LocalMarket, MarketPlan, RemoteMarket, Running};
use serde::Serialize;

use crate::output::failure::Failure;
use crate::output::print::{print, say};
use crate::output::text::{json, table};
use crate::session::home::HomeArgument;
use crate::session::runtime::{block_on, stopped};

/// How long a market may take to stop, or to start in the background.
const PATIENCE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub(crate) struct Up {
    #[command(flatten)]
    home: HomeArgument,
    /// The chain's port on 127.0.0.1; 0 takes any free port
    #[arg(long, value_name = "PORT", default_value_t = 8545)]
    rpc_port: u16,
    /// The broker's port on 127.0.0.1; 0 takes any free port
    #[arg(long, value_name = "PORT", default_value_t = 8546)]
    port: u16,
    /// Run in the background; its messages go to market.log under the home
    #[arg(long)]
    detach: bool,
}

#[derive(clap::Args)]
pub(crate) struct Down {
    #[command(flatten)]
    home: HomeArgument,
}

#[derive(clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    home: HomeArgument,
}

/// `assay.market/1`.
#[derive(Serialize)]
struct Shown<'a> {
    schema: &'static str,
    running: bool,
    #[serde(flatten)]
    at: Option<&'a Running>,
}

pub(crate) fn up(arguments: &Up, as_json: bool) -> Result<String, Failure> {
    let home = arguments.home.open()?;
    block_on(async {
        if let Some(running) = answering(&home).await? {
            return show(Some(&running), as_json);
        }
        if arguments.detach {
            return detach(arguments, &home, as_json).await;
        }
        let mut market = LocalMarket::open(&home, &MarketPlan::default()).await?;
        let running = market.serve(arguments.rpc_port, arguments.port).await?;
        print(&show(Some(&running), as_json)?)?;
        if !as_json {
            say("serving until Ctrl-C");
        }
        stopped().await;
        market.close().await?;
        Ok(String::new())
    })
}

/// Starts this program again, out of the terminal's reach, and waits until its market answers.
async fn detach(arguments: &Up, home: &Home, as_json: bool) -> Result<String, Failure> {
    let log = home.path().join("market.log");
    let failed = |error| Failure::file("write", &log, error).next("check the home folder");
    std::fs::create_dir_all(home.path()).map_err(failed)?;
    let file = std::fs::File::create(&log).map_err(failed)?;
    let program = std::env::current_exe();
    let program = program.map_err(|error| Failure::new("cannot find this program").cause(error))?;
    let mut command = Command::new(program);
    command.args(["up", "--home"]).arg(home.path());
    command.arg(format!("--rpc-port={}", arguments.rpc_port));
    command.arg(format!("--port={}", arguments.port));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn();
    let mut child = child.map_err(|error| Failure::new("cannot start the market").cause(error))?;
    let started = Instant::now();
    loop {
        if let Some(running) = answering(home).await? {
            return show(Some(&running), as_json);
        }
        let ended = child.try_wait().ok().flatten().is_some();
        if ended || started.elapsed() > PATIENCE {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            return Err(Failure::new("the market did not start")
                .cause(said.trim())
                .next(format!("fix what {} says, and try again", log.display())));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn down(arguments: &Down, as_json: bool) -> Result<String, Failure> {
    let home = arguments.home.open()?;
    block_on(async {
        // The process is asked only if its market answers: a number alone may be another's by now.
        let Some(running) = answering(&home).await? else { return show(None, as_json) };
        let pid = running.pid.to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status();
        if !asked.is_ok_and(|status| status.success()) {
            return Err(Failure::new(format!("cannot stop process {pid}"))
                .next("stop it as the user that started it"));
        }
        let started = Instant::now();
        while Running::read(&home)?.is_some() {
            if started.elapsed() > PATIENCE {
                return Err(Failure::new(format!("process {pid} does not stop"))
                    .next("kill it: its state survives"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        match as_json {
            true => show(None, as_json),
            false => Ok(format!("stopped the market: process {pid}\n")),
        }
    })
}

pub(crate) fn status(arguments: &Status, as_json: bool) -> Result<String, Failure> {
    let home = arguments.home.open()?;
    block_on(async { show(answering(&home).await?.as_ref(), as_json) })
}

/// What runs under the home and answers.
async fn answering(home: &Home) -> Result<Option<Running>, Failure> {
    let answers = RemoteMarket::running(home).await?.is_some();
    Ok(Running::read(home)?.filter(|_| answers))
}

fn show(running: Option<&Running>, as_json: bool) -> Result<String, Failure> {
    if as_json {
        let shown = Shown { schema: "assay.market/1", running: running.is_some(), at: running };
        return Ok(json(&shown));
    }
    let Some(running) = running else { return Ok("no market runs here\n".to_owned()) };
    Ok(table(&[
        ("rpc", running.rpc.clone()),
        ("broker", running.broker.clone().unwrap_or_default()),
        ("process", running.pid.to_string()),
    ]))
}
