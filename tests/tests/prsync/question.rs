//! The question whether more may be deleted than `--max-delete` allows.

use crate::world::World;

/// Two hosts of which one would lose much.
fn world() -> World {
    let world = World::new(2);
    world.dist();
    for name in ["a", "b", "c"] {
        world.file_on("web01", &format!("opt/{name}"), "surplus");
    }
    world
}

const QUESTION: &str = "more than 50% would be deleted (web01: 3 of 4, 75%); go on with 1 host? [y/N] ";

#[test]
fn an_answer_is_awaited_before_much_is_deleted() {
    for (answer, code) in [("y\n", 0), ("n\n", 5), ("\n", 5)] {
        let world = world();
        let mut run = world.prsync(["--delete", "dist/", &world.each("opt")]).on_terminal().start();
        run.wait_for_stdout(QUESTION);
        assert_eq!(world.tree("web01").len(), 4, "nothing is done before the answer");
        run.write(answer.as_bytes());
        let run = run.finish().expect_code(code);
        if code == 0 {
            assert_eq!(world.differences("dist", "web01", "opt"), "", "{run}");
        } else {
            assert_eq!(world.tree("web01").len(), 4, "{run}");
            run.expect_stdout("would delete 3 of 4 at the destination");
        }
        assert_eq!(world.differences("dist", "web02", "opt"), "");
    }
}

#[test]
fn ctrl_c_at_the_question_changes_nothing() {
    let world = world();
    let mut run = world.prsync(["--delete", "dist/", &world.each("opt")]).on_terminal().start();
    run.wait_for_stdout(QUESTION);
    run.write(b"\x03");
    let run = run.finish().expect_code(3);
    assert_eq!(world.tree("web01").len(), 4, "{run}");
}
