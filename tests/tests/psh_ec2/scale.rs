//! Thousands of instances.

use ec2_doubles::Instance;

use crate::world::{World, listed};

#[test]
fn every_page_of_thousands_of_instances_is_listed_once_and_then_kept() {
    for count in [2_500, 10_000] {
        let world = World::new();
        world.ec2.add((0..count).map(|number| {
            let instance = Instance::new(format!("i-{number:05}")).named(format!("lg-{number:05}"));
            instance
                .with("private-ip-address", format!("10.0.{}.{}", number / 250, number % 250))
                .with("tag:Role", "loadgen")
        }));
        let expected: Vec<_> = (0..count).map(|number| format!("lg-{number:05}")).collect();
        let list = || world.psh(&["--list", "-g", "loadgen"]).finish().expect_code(0);
        assert_eq!(listed(&list()), expected);
        let calls = world.ec2.calls();
        let pages = calls.iter().filter(|call| call.filters().contains(&"tag:Role=loadgen".to_owned())).count();
        assert_eq!(pages, (count as usize).div_ceil(1_000), "calls for one tag");
        assert_eq!(listed(&list()), expected);
        assert_eq!(world.ec2.calls().len(), calls.len(), "the second list comes from the cache");
    }
}
