"""Simulations that stop go on where they stopped."""

from benchmarks.kept import go_on


def test_what_is_done_is_read_and_not_run_again(tmp_path):
    ran = []

    def run(job, repeat):
        ran.append((job, repeat))
        return [job, repeat]

    jobs = {"first": "a", "second": "b"}
    none = go_on(run, jobs, repeats=2, folder=str(tmp_path), most=0)
    assert none == {"first": [], "second": []}
    once = go_on(run, jobs, repeats=1, folder=str(tmp_path), most=60)
    again = go_on(run, jobs, repeats=2, folder=str(tmp_path), most=60)
    assert ran == [("first", 0), ("second", 0), ("first", 1), ("second", 1)]
    assert once == {job: [[job, 0]] for job in jobs}
    assert again == {job: [[job, 0], [job, 1]] for job in jobs}
    assert go_on(run, jobs, repeats=1, folder=str(tmp_path), most=60) == once
    assert len(ran) == 4
