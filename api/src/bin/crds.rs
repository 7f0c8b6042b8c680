//! Writes the definitions into a folder: `make generate` calls it with `deploy/crds`.

use std::{fs, path::PathBuf, process::ExitCode};

use penstock_api::crd;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: crds FOLDER");
        return ExitCode::from(2);
    };
    match write(&folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("crds: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for (name, definition) in crd::all()? {
        let path = folder.join(name);
        fs::write(&path, crd::yaml(&definition)?).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
