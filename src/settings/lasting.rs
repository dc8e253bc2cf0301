//! Whether what is written into a folder is still there when the pod is gone. Outside of Kubernetes a folder is taken for what
//! it is; in a pod most folders are gone with it, and what was bought must not be.

use std::path::Path;

use super::check::Check;
use super::layers::in_a_pod;

/// The list of what is mounted where (proc_pid_mountinfo(5)).
const MOUNTS: &str = "/proc/self/mountinfo";
/// How the node's own folder of an `emptyDir` is called.
const EMPTY_DIR: &str = "kubernetes.io~empty-dir";
/// Types of file systems that are in memory, and that of a container's own layer.
const MEMORY: [&str; 2] = ["tmpfs", "ramfs"];
const LAYER: &str = "overlay";

impl Check<'_> {
    /// Why a folder does not outlive the pod, if that is seen and nobody says otherwise.
    pub(super) fn passing(&mut self, folder: &Path) -> Option<String> {
        match self.written("ledger.persistent") {
            Some("yes") => return None,
            Some("auto") => {}
            _ => {
                self.wrong(
                    "ledger.persistent",
                    "\"auto\", or \"yes\" for a folder that outlives the pod although that is not seen",
                );
                return None;
            }
        }
        if !in_a_pod() {
            return None;
        }
        #[expect(clippy::disallowed_methods, reason = "settings are the only reader of files")]
        let mounts = std::fs::read_to_string(MOUNTS).ok()?;
        let what = gone_with_the_pod(&mounts, folder)?;
        Some(format!(
            "the ledger would be in {}, which is {what} and gone with the pod, and what was bought must be known longer than that: \
             set shared.url to a PostgreSQL, or mount a persistent volume there (ledger.dir), or call a gizad that has one",
            folder.display()
        ))
    }
}

/// What a folder is, if it is gone with the pod.
fn gone_with_the_pod(mounts: &str, folder: &Path) -> Option<&'static str> {
    // The last of the longest is what is seen there.
    let mounted = mounts.lines().filter_map(Mount::read).filter(|mount| folder.starts_with(&mount.at));
    let mount = mounted.max_by_key(|mount| Path::new(&mount.at).components().count())?;
    if mount.root.contains(EMPTY_DIR) {
        Some("an emptyDir")
    } else if MEMORY.contains(&mount.kind) {
        Some("in memory")
    } else if mount.kind == LAYER {
        Some("the container's own")
    } else {
        None
    }
}

/// One that is mounted.
struct Mount<'a> {
    /// The folder of its file system that is seen there.
    root: &'a str,
    /// Where it is.
    at: String,
    /// The type of its file system.
    kind: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (before, behind) = line.split_once(" - ")?;
        let mut fields = before.split(' ').skip(3);
        let (root, at) = (fields.next()?, fields.next()?);
        // Spaces are written in octal.
        Some(Self { root, at: at.replace("\\040", " "), kind: behind.split(' ').next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a pod of containerd has it, with an emptyDir, one in memory, a persistent volume of a cloud, one of NFS, and a folder
    /// of the node.
    const POD: &str = "\
2261 2129 0:498 / / rw,relatime master:1 - overlay overlay rw,lowerdir=/var/lib/containerd/1/fs
2262 2261 0:503 / /proc rw,nosuid - proc proc rw
2270 2261 8:1 /var/lib/kubelet/pods/6f/volumes/kubernetes.io~empty-dir/scratch /scratch rw - ext4 /dev/sda1 rw
2271 2261 0:497 / /memory rw,relatime - tmpfs tmpfs rw,size=65536k
2272 2261 8:32 / /var/lib/gizad rw,relatime - ext4 /dev/sdc rw
2273 2261 0:510 /exports/gizad /nfs\\040share rw - nfs4 10.0.0.2:/exports rw
2274 2261 8:1 /srv/gizad /of-the-node rw - ext4 /dev/sda1 rw
2275 2272 0:512 / /var/lib/gizad/inner rw - tmpfs tmpfs rw
";

    #[test]
    fn what_is_gone_with_the_pod_is_told_from_what_is_not() {
        for (folder, expected) in [
            ("/", Some("the container's own")),
            ("/home/nonroot/.local/state/gizad", Some("the container's own")),
            ("/scratch/ledger", Some("an emptyDir")),
            ("/memory", Some("in memory")),
            ("/var/lib/gizad", None),
            ("/var/lib/gizad/ledger", None),
            ("/var/lib/gizad/inner/ledger", Some("in memory")),
            ("/nfs share/gizad", None),
            ("/of-the-node", None),
        ] {
            assert_eq!(gone_with_the_pod(POD, Path::new(folder)), expected, "{folder}");
        }
        assert_eq!(gone_with_the_pod("nonsense\n\n - - -", Path::new("/")), None);
    }
}
