//! `penstock inspect`: what a component needs and gives.

use std::{fmt, io::Write, path::Path, process::ExitCode};

use penstock_api::snapshot::PullPolicy;
use penstock_host::engine::{
    self, EngineOptions,
    artifact::{ArtifactStore, ImageRequest, Inspection, Role, StoreOptions},
    offered::Offer,
};

use crate::{
    args::{ArtifactArgs, InspectArgs, InspectOutput},
    artifacts,
    dev::{files, images},
    table::{Cell, Table},
    term::{BAD, DIM, GOOD, HEAD, WARN, paint},
};

/// Fetches a component and prints its interfaces.
///
/// # Errors
///
/// When it cannot be had, or is no component.
pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let inspection = runtime.block_on(inspect(&image(&args.reference), &args.artifacts))?;
    let mut out = anstream::stdout().lock();
    match args.output {
        InspectOutput::Table => write!(out, "{}", ForPeople(&inspection))?,
        InspectOutput::Wit => write!(out, "{}", inspection.wit)?,
        InspectOutput::Json => {
            serde_json::to_writer_pretty(&mut out, &inspection)?;
            writeln!(out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn inspect(image: &str, args: &ArtifactArgs) -> anyhow::Result<Inspection> {
    // Nothing is run or compiled: the smallest engine will do.
    let engine = engine::build(EngineOptions { max_instances: 1, max_memory_mib: 16 }).map_err(anyhow::Error::msg)?;
    let options = StoreOptions { insecure_registries: args.insecure_registry.clone(), ..StoreOptions::default() };
    let store = ArtifactStore::new(engine, artifacts::cache_dir(args)?.join("artifacts"), options)?;
    let request = ImageRequest { image: image.to_owned(), pull_policy: PullPolicy::Always, ..ImageRequest::default() };
    Ok(store.inspect(&request).await?)
}

/// A path becomes `file://` and the whole of it; what else there is may be in a registry.
fn image(reference: &str) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let path = images::path(reference, &here).or_else(|| {
        (Path::new(reference).exists() || reference.ends_with(".wasm")).then(|| files::absolute(Path::new(reference)))
    });
    path.map_or_else(|| reference.to_owned(), |path| format!("file://{}", path.display()))
}

struct ForPeople<'a>(&'a Inspection);

impl fmt::Display for ForPeople<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = self.0;
        writeln!(f, "{}  {}", paint(HEAD, "Image "), it.image)?;
        writeln!(f, "{}  {}", paint(HEAD, "Digest"), it.digest)?;
        writeln!(f, "{}  {} bytes\n", paint(HEAD, "Size  "), it.size)?;
        let mut exports = Table::new(&["EXPORT", "WHAT PENSTOCK DOES WITH IT"]);
        for export in &it.exports {
            exports.row([export.name.as_str().into(), role(export.role)]);
        }
        if it.exports.is_empty() {
            writeln!(f, "It exports nothing.")?;
        } else {
            write!(f, "{exports}")?;
        }
        let mut imports = Table::new(&["IMPORT", "WHAT PENSTOCK OFFERS FOR IT"]);
        for import in &it.imports {
            imports.row([import.name.as_str().into(), offer(&import.offer)]);
        }
        if it.imports.is_empty() { writeln!(f, "\nIt imports nothing.") } else { write!(f, "\n{imports}") }
    }
}

fn role(role: Role) -> Cell {
    match role {
        Role::Http02 => Cell::styled("answers requests (WASI 0.2)", GOOD),
        Role::Http03 => Cell::styled("answers requests (WASI 0.3)", GOOD),
        Role::Linkable => Cell::styled("other components of the workload may import it", DIM),
    }
}

fn offer(offer: &Offer) -> Cell {
    match offer {
        Offer::Offered { version, note: None } => Cell::styled(version, GOOD),
        Offer::Offered { version, note: Some(note) } => Cell::styled(format!("{version}; {note}"), GOOD),
        Offer::ByConfiguration { version, note } => Cell::styled(format!("{version}; {note}"), WARN),
        Offer::TypesOnly => Cell::styled("types only, nothing to offer", DIM),
        Offer::NotOffered { nearest: None } => {
            Cell::styled("not offered: another component of the workload must export it", BAD)
        }
        Offer::NotOffered { nearest: Some(nearest) } => {
            Cell::styled(format!("not offered in this version: {nearest}"), BAD)
        }
    }
}
