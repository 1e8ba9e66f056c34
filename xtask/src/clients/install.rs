//! What client programs are made of: found, installed where that is allowed, and built outside the checkout.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::catalogue::{Language, Program};
use crate::{Result, process, python, stamp, tools};

/// What has been made so far: several programs share one.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    python: Option<PathBuf>,
    go: Option<PathBuf>,
}

/// What a program of this language cannot do without, if it is missing here and cannot be installed.
pub(crate) fn missing_tool(language: Language) -> Option<String> {
    let needed = match language {
        Language::Python(_) | Language::Rust(_) => Ok(()),
        Language::Java => tools::need("mvn", &["--version"], &["maven", "default-jdk-headless"]),
        Language::Go(_) => need_go(),
    };
    needed.err().map(|error| error.to_string())
}

fn need_go() -> Result<()> {
    tools::need("go", &["version"], &["golang-go"])?;
    if process::quietly_succeeds(Command::new("go").args(["list", "-m"]).current_dir(sources("go"))) {
        return Ok(());
    }
    Err("go is older than clients/go/go.mod wants".into())
}

/// What the OIDC provider cannot do without, if it is missing here and cannot be installed.
pub(crate) fn missing_node() -> Option<String> {
    // The provider needs a version with `fetch`.
    let node = tools::need("node", &["-e", "fetch"], &["nodejs", "npm"]);
    node.and_then(|()| tools::need("npm", &["--version"], &["npm"])).err().map(|error| error.to_string())
}

impl Installed {
    /// Makes what `program` needs, and the command that starts it.
    pub(crate) fn prepare(&mut self, program: &Program, build: &Path) -> Result<Command> {
        match program.language {
            Language::Python(script) => {
                let python = get_or_make(&mut self.python, || python::CLIENTS.prepare())?;
                let mut command = Command::new(python);
                command.arg(sources("python").join(script));
                Ok(command)
            }
            Language::Java => java(),
            Language::Go(subcommand) => {
                let mut command = Command::new(get_or_make(&mut self.go, go)?);
                command.arg(subcommand);
                Ok(command)
            }
            Language::Rust(example) => Ok(Command::new(build.join("examples").join(example))),
        }
    }
}

fn get_or_make(kept: &mut Option<PathBuf>, make: impl FnOnce() -> Result<PathBuf>) -> Result<PathBuf> {
    let made = match kept.take() {
        Some(made) => made,
        None => make()?,
    };
    Ok(kept.insert(made).clone())
}

/// The sources of the clients of one language.
fn sources(language: &str) -> PathBuf {
    process::workspace_root().join("clients").join(language)
}

fn cache(name: &str) -> Result<PathBuf> {
    Ok(python::cache_folder()?.join(name))
}

/// The JDBC program, compiled by Maven beside the driver that it is pinned to.
fn java() -> Result<Command> {
    let (sources, folder) = (sources("java"), cache("client-java")?);
    stamp::make_if_stale(&folder, &texts_in(&sources)?, |folder| {
        println!("client-java: building in {}", folder.display());
        let mut maven = Command::new("mvn");
        maven.args(["-q", "-B", "clean", "compile", "dependency:copy-dependencies"]);
        maven.arg(format!("-Dbuild.folder={}", folder.display())).current_dir(&sources);
        process::run(&mut maven)
    })?;
    let mut command = Command::new("java");
    // Arrow reads memory behind Java's back; the driver does not start without this.
    command.arg("--add-opens=java.base/java.nio=ALL-UNNAMED").arg("-cp");
    command.arg(format!("{}:{}", folder.join("classes").display(), folder.join("libraries/*").display()));
    command.arg("pintail.clients.Main");
    Ok(command)
}

/// The Go program; Go itself knows what to build again.
fn go() -> Result<PathBuf> {
    let program = cache("client-go")?;
    let mut build = Command::new("go");
    build.args(["build", "-o"]).arg(&program).arg(".").current_dir(sources("go"));
    process::run(&mut build)?;
    Ok(program)
}

/// The script of the OIDC provider, beside the packages that it needs.
pub(crate) fn oidc_provider() -> Result<PathBuf> {
    let (sources, folder) = (sources("oidc"), cache("client-oidc")?);
    stamp::make_if_stale(&folder, &texts_in(&sources)?, |folder| {
        println!("client-oidc: installing into {}", folder.display());
        fs::create_dir_all(folder)?;
        for name in ["package.json", "package-lock.json", "provider.mjs"] {
            fs::copy(sources.join(name), folder.join(name))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]).current_dir(folder);
        process::run(&mut npm)
    })?;
    Ok(folder.join("provider.mjs"))
}

/// All text files under `folder`, with their names.
fn texts_in(folder: &Path) -> Result<String> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut texts = String::new();
    for entry in entries {
        let path = entry.path();
        let text = if path.is_dir() { texts_in(&path)? } else { fs::read_to_string(&path)? };
        texts.push_str(&format!("-- {}\n{text}", path.display()));
    }
    Ok(texts)
}
