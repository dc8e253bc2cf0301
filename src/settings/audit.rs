//! The settings of the audit log: where it is written, and what is not done without it.

use super::Audit;
use super::check::Check;
use super::layers::usual_state_dir;
use crate::contract::Effect;
use crate::policy::audit;

/// The effects that leave a trace.
const TRACED: [Effect; 4] = [Effect::Secret, Effect::Converge, Effect::Once, Effect::Spend];

impl Check<'_> {
    pub(super) fn audit(&mut self, in_sandbox: bool) -> Audit {
        match self.text("audit.file").as_str() {
            "off" => Audit::Nowhere,
            "stderr" => Audit::Stderr,
            // What is done to a stand-in is done to nobody.
            "auto" if in_sandbox => Audit::Nowhere,
            "auto" => usual_state_dir().map_or_else(
                || {
                    self.wrong("audit.file", "a file, stderr or off, because there is no usual place here");
                    Audit::Nowhere
                },
                Audit::Usual,
            ),
            path if path.starts_with('/') => Audit::In(path.into()),
            _ => {
                self.wrong("audit.file", "a file by its whole path, or one of auto, stderr and off");
                Audit::Nowhere
            }
        }
    }

    pub(super) fn traced(&mut self) -> audit::Options {
        let required = self.some_of("audit.required", &TRACED, Effect::as_str);
        audit::Options { required }
    }
}
