//! Folders and files as they lie on a disk: what is read, what is left out, what is refused.
#![allow(clippy::unwrap_used)] // Building the folders; the lint looks into tests but not into their helpers.

use std::fs;
use std::path::PathBuf;

use portcullis::source::manifests::{Manifests, Problem, SkipReason};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        Self(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Manifests {
        Manifests::read(&[self.path(name)])
    }

    fn relative(&self, file: &str) -> String {
        file.replace(&*self.0.path().to_string_lossy(), "").trim_start_matches('/').to_owned()
    }
}

const POD: &[u8] = b"apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n";

#[test]
fn a_folder_is_read_in_order_and_other_yaml_is_counted() {
    let folder = Folder::new(&[
        ("b.yml", POD),
        ("a/z.yaml", POD),
        ("a/deep/er.JSON", br#"{"apiVersion":"v1","kind":"Pod"}"#),
        (".git/x.yaml", b"]["),
        (".hidden.yaml", b"]["),
        ("readme.md", b"]["),
        ("values.yaml", b"replicas: 1\n"),
        ("kustomization.yaml", b"resources: [b.yml]\n"),
        ("overlay/kustomization.yaml", b"apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"),
        ("list.yaml", b"- 1\n"),
        ("empty.yaml", b"# nothing\n"),
    ]);
    let read = folder.read("");
    assert!(read.errors.is_empty(), "{:?}", read.errors);
    let files: Vec<_> = read.documents.iter().map(|d| folder.relative(&d.file)).collect();
    assert_eq!(files, ["a/deep/er.JSON", "a/z.yaml", "b.yml"]);
    let skipped: Vec<_> = read.skipped.iter().map(|s| (folder.relative(&s.file), s.reason)).collect();
    assert_eq!(skipped.len(), 4, "{skipped:?}");
    assert_eq!(skipped[0], ("kustomization.yaml".to_owned(), SkipReason::Kustomization));
    assert_eq!(skipped[1].0, "list.yaml");
    assert_eq!(skipped[2], ("overlay/kustomization.yaml".to_owned(), SkipReason::Kustomization));
    assert_eq!(read.skipped[3].reason.to_string(), "not a Kubernetes object: found no `apiVersion`");

    // The same files, named: the user meant them to be manifests.
    for (name, shown) in [
        ("values.yaml", "1:1: found no `apiVersion`"),
        ("kustomization.yaml", "1:1: found a kustomization, expected"),
        ("overlay/kustomization.yaml", "kustomize build"),
        ("list.yaml", "1:1: found a list"),
        ("readme.md", "found text that is not YAML"),
    ] {
        let read = folder.read(name);
        assert_eq!(read.errors.len(), 1, "{name}");
        assert!(read.errors[0].to_string().contains(shown), "{}", read.errors[0]);
    }
}

#[test]
fn a_chart_is_one_error_and_not_one_for_each_template() {
    let folder = Folder::new(&[
        ("pod.yaml", POD),
        ("chart/Chart.yaml", b"apiVersion: v2\nname: x\n"),
        ("chart/values.yaml", b"a: 1\n"),
        ("chart/templates/a.yaml", b"{{ x }}"),
        ("chart/templates/b.yaml", b"{{ x }}"),
    ]);
    let read = folder.read("");
    assert_eq!(read.documents.len(), 1);
    assert_eq!(read.skipped.len(), 2);
    assert_eq!(read.errors.len(), 1, "{:?}", read.errors);
    let shown = read.errors[0].to_string();
    assert!(shown.contains("found a Helm chart") && shown.contains("chart | portcullis check -"), "{shown}");
}

#[test]
fn files_that_cannot_be_read_say_what_to_do() {
    let folder = Folder::new(&[
        ("latin1.yaml", b"apiVersion: v1\nkind: Caf\xe9\n"),
        ("utf16.yaml", b"\xff\xfea\0:\0"),
        ("nothing/readme.md", b"x"),
        ("only/values.yaml", b"a: 1"),
        ("nul.yaml", b"apiVersion: v1\nkind: \0\n"),
    ]);
    let shown = |name: &str| {
        let errors = folder.read(name).errors;
        assert_eq!(errors.len(), 1, "{name}");
        folder.relative(&errors[0].to_string())
    };
    assert!(
        shown("latin1.yaml").starts_with("latin1.yaml:2:10: found bytes that are not UTF-8"),
        "{}",
        shown("latin1.yaml")
    );
    assert!(shown("utf16.yaml").contains("iconv -f UTF-16"), "{}", shown("utf16.yaml"));
    assert!(
        shown("missing.yaml").starts_with("missing.yaml: found no such file or folder"),
        "{}",
        shown("missing.yaml")
    );
    assert!(shown("nothing").starts_with("nothing: found no Kubernetes object (0 skipped)"), "{}", shown("nothing"));
    assert!(shown("only").contains("(1 skipped)"), "{}", shown("only"));
    assert!(shown("nul.yaml").starts_with("nul.yaml:2:"), "{}", shown("nul.yaml"));
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_end() {
    use std::os::unix::fs::symlink;
    // As the kubelet mounts a ConfigMap, with a link to the folder itself for good measure.
    let folder = Folder::new(&[("..2026/pod.yaml", POD)]);
    symlink("..2026", folder.path("..data")).expect("link");
    symlink("..data/pod.yaml", folder.path("pod.yaml")).expect("link");
    symlink(".", folder.path("loop")).expect("link");
    let read = folder.read("");
    assert_eq!(read.documents.len(), 1, "{:?}", read.errors);
    assert!(read.errors.is_empty(), "{:?}", read.errors);
    symlink("gone", folder.path("broken.yaml")).expect("link");
    assert!(matches!(folder.read("").errors[0].problem, Problem::Missing));
}
