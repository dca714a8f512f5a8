// SPDX-License-Identifier: Apache-2.0
//! `make efi`: the monitor's image for an EFI system partition.

use baton_qemu::paths;
use baton_qemu::pe::{self, Subsystem};
use std::fs;
use std::path::Path;

/// Writes the monitor into `folder` as an application and as a driver.
pub fn efi(folder: &Path) -> Result<(), String> {
    let image = paths::monitor();
    let fail = |path: &Path, error| format!("{}: {error}", path.display());
    let mut bytes = fs::read(&image).map_err(|error| fail(&image, error))?;
    fs::create_dir_all(folder).map_err(|error| fail(folder, error))?;
    for (name, subsystem) in [
        ("baton.efi", Subsystem::Application),
        ("baton-driver.efi", Subsystem::BootServiceDriver),
    ] {
        pe::set_subsystem(&mut bytes, subsystem)
            .map_err(|reason| format!("{}: {reason}", image.display()))?;
        let file = folder.join(name);
        fs::write(&file, &bytes).map_err(|error| fail(&file, error))?;
        println!("  {}", file.display());
    }
    Ok(())
}
