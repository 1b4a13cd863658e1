//! What this machine is: an EC2 instance, or anything else.
//!
//! Elsewhere the address of the instance metadata service answers nobody, and whoever asks it waits for seconds. So the
//! firmware is asked instead, which costs two reads of a file.

use std::fs;
use std::path::Path;

/// Whether instance metadata can be asked here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// An EC2 instance.
    Ec2,
    /// Anything else, or an instance whose user forbids the use of metadata (`AWS_EC2_METADATA_DISABLED`).
    Elsewhere,
}

impl Machine {
    /// Looks at the firmware's words under `/sys`.
    #[must_use]
    pub fn detect() -> Self {
        let forbidden =
            std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
        if forbidden { Self::Elsewhere } else { Self::from_firmware(Path::new("/sys")) }
    }

    /// Instances on Nitro name their vendor, those on Xen have an identifier that begins with `ec2`:
    /// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html>.
    fn from_firmware(sys: &Path) -> Self {
        let says = |file: &str, start: &str| {
            let text = fs::read_to_string(sys.join(file)).unwrap_or_default();
            text.trim_start().get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
        };
        let is_ec2 = says("class/dmi/id/sys_vendor", "Amazon EC2") || says("hypervisor/uuid", "ec2");
        if is_ec2 { Self::Ec2 } else { Self::Elsewhere }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_known_by_its_firmware() {
        for (file, text, machine) in [
            ("class/dmi/id/sys_vendor", "Amazon EC2\n", Machine::Ec2),
            ("hypervisor/uuid", "ec2e1916-9099-7caf-fd21-012345abcdef\n", Machine::Ec2),
            ("hypervisor/uuid", "EC2E1916-9099-7CAF-FD21-012345ABCDEF\n", Machine::Ec2),
            ("hypervisor/uuid", "45e12aec-dcd1-b213-94ed-012345abcdef\n", Machine::Elsewhere),
            ("class/dmi/id/sys_vendor", "QEMU\n", Machine::Elsewhere),
            ("class/dmi/id/sys_vendor", "", Machine::Elsewhere),
            ("class/dmi/id/product_name", "Amazon EC2\n", Machine::Elsewhere),
        ] {
            let sys = tempfile::tempdir().unwrap();
            let path = sys.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            assert_eq!(Machine::from_firmware(sys.path()), machine, "{file}: {text:?}");
        }
    }
}
