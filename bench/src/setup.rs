//! What all programs that start Penstock are told: where, with what, and whether the figures are to stay.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use penstock_tests::dev;

use crate::{machine::Cpus, report};

/// What all programs that start Penstock are told.
#[derive(Clone, Debug, Args)]
pub struct Setup {
    /// Which CPUs the server and the load run on.
    #[arg(long, value_enum, default_value = "split")]
    pub cpus: Cpus,
    /// The penstock binary; the one beside this program otherwise.
    #[arg(long)]
    pub penstock: Option<PathBuf>,
    /// Folder of the components; the test guests' otherwise.
    #[arg(long)]
    pub components: Option<PathBuf>,
    /// Leaves bench/README.md as it is.
    #[arg(long)]
    pub no_readme: bool,
}

impl Setup {
    /// The binary.
    ///
    /// # Errors
    /// If none was named and there is none beside this program.
    pub fn penstock(&self) -> Result<PathBuf> {
        self.penstock.clone().map_or_else(dev::binary, Ok)
    }

    /// The folder, in full.
    ///
    /// # Errors
    /// If it is not there.
    pub fn components(&self) -> Result<PathBuf> {
        let folder = self.components.clone().unwrap_or_else(|| report::folder().join("../tests/guests/components"));
        fs::canonicalize(&folder).with_context(|| format!("no folder {}", folder.display()))
    }

    /// [`report::write`], as told.
    ///
    /// # Errors
    /// As that.
    pub fn write(&self, name: &str, raw: &str, text: &str) -> Result<()> {
        report::write(name, raw, text, !self.no_readme)
    }
}
