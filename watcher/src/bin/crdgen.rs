//! Writes the generated API objects: `crdgen <deploy folder>`.

use anyhow::Context as _;

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .context("usage: crdgen <deploy folder>")?;
    for (path, value) in isc_watcher::crd::files() {
        let path = std::path::Path::new(&folder).join(path);
        let dir = path.parent().context("a generated file lies in a folder")?;
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let text = isc_watcher::crd::to_yaml(&value).context("cannot write YAML")?;
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
